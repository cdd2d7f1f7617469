import { Generator, paramTree, planGeneration } from '@lapidary/gemma';
import type { Gpu } from '@lapidary/gpu';
import { evaluate, reshape, variableFrom, type Variable } from '@lapidary/tensor';
import { bufferSource, modelWeightLoader } from '@lapidary/weights';
import { loadParameters } from '../../packages/lapidary/src/load-parameters.js';
import { causalInfo } from './gemma-fixture.js';

/** What our model makes of a GGUF: logits [T, V] of tokens, and what it answers to a prompt greedily. */
export async function ggufAnswers(
  gpu: Gpu,
  bytes: Uint8Array,
  {
    ids,
    prompt,
    newTokens,
  }: { readonly ids: readonly number[]; readonly prompt: number[]; readonly newTokens: number },
): Promise<{ readonly logits: Float32Array; readonly answer: number[] }> {
  const weights = await modelWeightLoader({ from: bufferSource('model.gguf', bytes) }).open();
  const variables = new Map<string, Variable>();
  try {
    await loadParameters(gpu, weights, variables);
    const { model } = weights;
    const params = paramTree(variables);
    const i32 = (values: Int32Array, as: number[]) => variableFrom(gpu, values, as, { dtype: 'i32' }).tensor;
    const mask = new Int32Array(ids.length).fill(1);
    const { hostRows } = weights;
    const rows = await hostRows?.read(Int32Array.from(ids));
    const { hidden } = model.forward(params, {
      inputIds: i32(Int32Array.from(ids), [1, ids.length]),
      tokenInfo: i32(causalInfo(mask, ids.length), [1, ids.length, 4]),
      ...(rows && {
        hostRows: variableFrom(gpu, rows, [ids.length, hostRows!.width], { dtype: hostRows!.dtype }).tensor,
      }),
    });
    const [logits] = await evaluate(gpu, [model.logits(params, reshape(hidden, [-1, model.hiddenSize]))]);
    const generator = new Generator(gpu, planGeneration(gpu.profile, params, model, { maxLength: 32, hostRows }));
    const answer: number[] = [];
    for await (const token of generator.generate({ tokens: prompt }, { maxNewTokens: newTokens, stopTokens: [] }))
      answer.push(token);
    return { logits: Float32Array.from(logits!), answer };
  } finally {
    for (const variable of variables.values()) variable.destroy();
    await weights.close();
  }
}
