import type { Op } from '../protocol.js';
import { tokenIds } from '../values.js';
import type { Tf } from './open-tfjs.js';
import { tensors, type Ten } from './tensors.js';

export const modelOps = (tf: Tf, idle: () => Promise<void>): Record<string, Op> => {
  const { tensor, stepTask, rmsNorm, gelu, attention, causalMask } = tensors(tf, idle);
  return {
    async mlpStep(params) {
      const { batch, width, inner } = params as { batch: number; width: number; inner: number };
      const w1 = tf.variable(tensor([width, inner], 1, 0.0625));
      const w2 = tf.variable(tensor([inner, width], 2, 0.0625));
      const [x, y] = [tensor([batch, width], 3, 1), tensor([batch, width], 4, 1)];
      const sgd = tf.train.sgd(0.01);
      const loss = () =>
        tf
          .matMul(gelu(tf.matMul(x, w1)), w2)
          .sub(y)
          .square()
          .mean();
      return stepTask(() => sgd.minimize(loss, true, [w1, w2]), [w1, w2, x, y]);
    },

    async languageModelStep(params) {
      const { layers, width, heads, inner, words, tokens, batch } = params as Record<
        'layers' | 'width' | 'heads' | 'inner' | 'words' | 'tokens' | 'batch',
        number
      >;
      const scale = 0.0625;
      const weight = (shape: number[], seed: number) => tf.variable(tensor(shape, seed, scale));
      const ones = () => tf.variable(tf.ones([width]));
      const table = weight([words, width], 1000);
      const blocks = Array.from({ length: layers }, (_, i) => ({
        norm1: ones(),
        norm2: ones(),
        wq: weight([width, width], i * 16 + 1),
        wk: weight([width, width], i * 16 + 2),
        wv: weight([width, width], i * 16 + 3),
        wo: weight([width, width], i * 16 + 4),
        w1: weight([width, inner], i * 16 + 5),
        w2: weight([inner, width], i * 16 + 6),
      }));
      const finalNorm = ones();
      const headDim = width / heads;
      const count = batch * tokens;
      const mask = causalMask(tokens);
      const hot = (shift: number) => tf.oneHot(tf.tensor1d(tokenIds(count, words, shift), 'int32'), words).toFloat();
      const [ids, targets] = [hot(0), hot(1)];
      const loss = () => {
        let h = tf.matMul(ids, table);
        for (const b of blocks) {
          const n = rmsNorm(h, b.norm1);
          const split = (w: Ten) => tf.matMul(n, w).reshape([batch, tokens, heads, headDim]).transpose([0, 2, 1, 3]);
          const attended = attention(split(b.wq), split(b.wk), split(b.wv), mask, headDim);
          h = h.add(tf.matMul(attended.transpose([0, 2, 1, 3]).reshape([count, width]), b.wo));
          h = h.add(tf.matMul(gelu(tf.matMul(rmsNorm(h, b.norm2), b.w1)), b.w2));
        }
        const logits = tf.matMul(rmsNorm(h, finalNorm), table, false, true);
        return tf.logSoftmax(logits).mul(targets).sum(-1).mean().neg();
      };
      const trained = [table, ...blocks.flatMap((block) => Object.values(block)), finalNorm];
      const adam = tf.train.adam(1e-3, 0.9, 0.999, 1e-8);
      const task = stepTask(() => adam.minimize(loss, true, trained), [...trained, mask, ids, targets]);
      return {
        ...task,
        drop() {
          task.drop?.();
          adam.dispose();
        },
      };
    },
  };
};
