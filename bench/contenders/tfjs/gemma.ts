import { gemmaShape, gemmaWeights, LORA_SCALE, LORA_SLOTS, loraStart, type GemmaShape } from '../gemma-weights.js';
import type { Op } from '../protocol.js';
import { ropeTables, ropeTheta } from '../rope-tables.js';
import { hashed, sample, tokenIds } from '../values.js';
import type { Tf } from './open-tfjs.js';
import { tensors, type Ten } from './tensors.js';

type Lora = ReadonlyMap<number, readonly [Ten, Ten]>;

export const gemmaOps = (tf: Tf, idle: () => Promise<void>): Record<string, Op> => {
  const { stepTask, gelu, causalMask } = tensors(tf, idle);
  const norm = (x: Ten, weight: Ten) => x.mul(x.square().mean(-1, true).add(1e-6).rsqrt()).mul(weight.add(1));

  /** The stream after the last norm, [tokens, width]; see contenders/torch/gemma.py. */
  function createHidden(shape: GemmaShape) {
    const { tokens, width, heads, kvHeads, headDim, words } = shape;
    const group = heads / kvHeads;
    const mask = causalMask(tokens);
    const ids = tf.oneHot(tf.tensor1d(tokenIds(tokens, words), 'int32'), words).toFloat();
    const tables = new Map(
      [1e4, 1e6].map((theta) => {
        const { cos, sin } = ropeTables(shape, theta);
        return [theta, { cos: tf.tensor(cos, [tokens, headDim]), sin: tf.tensor(sin, [tokens, headDim]) }];
      }),
    );
    const rotate = (x: Ten, { cos, sin }: { cos: Ten; sin: Ten }) => {
      const [a, b] = tf.split(x, 2, -1);
      return x.mul(cos).add(tf.concat([b.neg(), a], -1).mul(sin));
    };
    const hidden = (ws: readonly Ten[], lora?: Lora): Ten => {
      const linear = (x: Ten, index: number) => {
        const y = tf.matMul(x, ws[index], false, true);
        const low = lora?.get(index);
        return low ? y.add(tf.matMul(tf.matMul(x, low[0], false, true), low[1], false, true).mul(LORA_SCALE)) : y;
      };
      const split = (x: Ten, count: number) => x.reshape([tokens, count, headDim]).transpose([1, 0, 2]);
      let h = tf.matMul(ids, ws[0]).mul(Math.sqrt(width));
      for (let layer = 0; layer < shape.layers; layer++) {
        const at = 1 + 13 * layer;
        const table = tables.get(ropeTheta(shape, layer))!;
        let x = norm(h, ws[at]);
        const q = rotate(norm(split(linear(x, at + 1), heads), ws[at + 5]), table);
        const k = rotate(norm(split(linear(x, at + 2), kvHeads), ws[at + 6]), table);
        const v = split(linear(x, at + 3), kvHeads);
        // The heads of a group one below the other, as one matrix for their common keys.
        const scores = tf.matMul(q.reshape([kvHeads, group * tokens, headDim]), k, false, true).mul(headDim ** -0.5);
        const shares = tf.softmax(scores.reshape([heads, tokens, tokens]).add(mask));
        const out = tf.matMul(shares.reshape([kvHeads, group * tokens, tokens]), v).reshape([heads, tokens, headDim]);
        h = h.add(norm(linear(out.transpose([1, 0, 2]).reshape([tokens, heads * headDim]), at + 4), ws[at + 7]));
        x = norm(h, ws[at + 8]);
        h = h.add(norm(linear(gelu(linear(x, at + 9)).mul(linear(x, at + 10)), at + 11), ws[at + 12]));
      }
      return norm(h, ws.at(-1));
    };
    return { hidden, operands: [mask, ids, ...[...tables.values()].flatMap(({ cos, sin }) => [cos, sin])] };
  }

  const load = (shape: GemmaShape): Ten[] =>
    gemmaWeights(shape).map(({ shape: size, values }) => tf.variable(tf.tensor(values(), size)));

  return {
    async gemmaBlock(params) {
      const shape = gemmaShape(params);
      const { tokens, width } = shape;
      const ws = load(shape);
      const { hidden, operands } = createHidden(shape);
      const cotangent = tf.tensor(hashed(tokens * width, 77, 1), [tokens, width]);
      const run = (): { value: Ten; grads: Record<string, Ten> } =>
        tf.variableGrads(() => hidden(ws).mul(cotangent).sum(), ws.slice(1, 14));
      return {
        async run() {
          const { value, grads } = run();
          await value.data();
          tf.dispose([value, grads]);
        },
        async result() {
          const { value, grads } = run();
          const parts: number[] = [];
          for (const { name } of ws.slice(1, 14)) {
            const part = sample(await grads[name].data());
            parts.push(...part.map((x) => x / part.at(-1)!));
          }
          tf.dispose([value, grads]);
          return parts;
        },
        drop: () => tf.dispose([ws, operands, cotangent]),
      };
    },

    async gemmaStep(params) {
      const shape = gemmaShape(params);
      const rank = params.rank as number;
      const ws = load(shape);
      const { hidden, operands } = createHidden(shape);
      const lora = new Map<number, [Ten, Ten]>();
      if (rank > 0) {
        ws.forEach((weight, index) => {
          const slot = (index - 1) % 13;
          if (index === 0 || index === ws.length - 1 || !LORA_SLOTS.some((s) => s === slot)) return;
          const [out, inputs] = weight.shape;
          const a = tf.variable(tf.tensor(loraStart(rank, inputs, index), [rank, inputs]));
          lora.set(index, [a, tf.variable(tf.zeros([out, rank]))]);
        });
      }
      const targets = tf.oneHot(tf.tensor1d(tokenIds(shape.tokens, shape.words, 1), 'int32'), shape.words).toFloat();
      const loss = () => {
        const logits = tf.matMul(hidden(ws, lora), ws[0], false, true);
        return tf.logSoftmax(logits).mul(targets).sum(-1).mean().neg();
      };
      const trained = rank > 0 ? [...lora.values()].flat() : ws;
      const adam = tf.train.adam(1e-3, 0.9, 0.999, 1e-8);
      const task = stepTask(
        () => adam.minimize(loss, true, trained),
        [...ws, ...operands, targets, ...[...lora.values()].flat()],
      );
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
