// Four layers of Gemma 4 E2B at full width, bf16, against transformers (test/fixtures/wide): heads of 256 and 512 values, MLPs of two widths,
// keys and values of both kinds that are shared, inputs for each layer.
import {
  type Gemma4Config,
  gemma4Presets,
  modelOf,
  paramTree,
  planVariables,
  sumTokenLosses,
  type ParamPlan,
} from '@lapidary/gemma';
import { openGpu } from '@lapidary/gpu';
import { evaluate, gradients, mul, reshape, variableFrom } from '@lapidary/tensor';
import { encodeFloats } from '@lapidary/weights';
import { expect, it } from 'vitest';
import { causalInfo, hfName, shiftedTargets } from './support/gemma-fixture.js';
import { relativeError } from './support/relative-error.js';
import { fixtureTensors } from './support/safetensors-fixture.js';

const config: Gemma4Config = {
  ...gemma4Presets['gemma-4-e2b'],
  vocabSize: 512,
  vocabSizePerLayerInput: 512,
  numLayers: 4,
  numKvSharedLayers: 2,
  slidingWindow: 16,
  layerTypes: ['local', 'global', 'local', 'global'],
};

/** As make_wide.py: the upper 8 bits of a product with i + 1 and the name's letters, around 0. */
function drawn(name: string, count: number): Float32Array {
  const seed = [...name].reduce((sum, letter) => (Math.imul(sum, 31) + letter.charCodeAt(0)) >>> 0, 0);
  return Float32Array.from({ length: count }, (_, i) => {
    const mixed = Math.imul(i + 1 + seed, 2654435761);
    return (Math.imul(mixed ^ (mixed >>> 15), 2246822519) >>> 24) / 128 - 127.5 / 128;
  });
}

/** Values of a parameter, bf16. */
function valuesOf(path: string, shape: readonly number[]): Uint8Array {
  const values = drawn(
    hfName(path, config),
    shape.reduce((a, b) => a * b, 1),
  );
  const isMatrix = shape.length === 2;
  const size = isMatrix ? 2 ** -Math.floor(Math.log2(shape[1]!) / 2) : 0.25;
  const bytes = encodeFloats(
    values.map((value) => value * size),
    'bf16',
  );
  if (isMatrix) return bytes;
  const rounded = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  const widened = Float32Array.from(rounded, (bits) => new Float32Array(Uint32Array.of(bits << 16).buffer)[0]!);
  return encodeFloats(
    widened.map((value) => 1 + value),
    'bf16',
  );
}

it('has the logits, loss and gradients of transformers', { timeout: 600_000 }, async () => {
  const gpu = await openGpu();
  const model = modelOf(config);
  const kept = model.params.filter(({ isOnHost }) => !isOnHost);
  const plans = new Map<string, ParamPlan>();
  for (const { path, shape } of kept) plans.set(path, { shape, dtype: 'bf16', category: 'weights' });
  const variables = planVariables(plans);
  for (const { path, shape } of kept) variables.get(path)!.allocate(gpu).write(valuesOf(path, shape));

  const reference = await fixtureTensors('wide/gemma4-e2b.safetensors');
  const ids = Int32Array.from(reference.get('input_ids')!.data);
  const table = model.params.find(({ isOnHost }) => isOnHost)!;
  const [, width] = table.shape as [number, number];
  const rows = valuesOf(table.path, table.shape);
  const ofIds = new Uint8Array(ids.length * width * 2);
  ids.forEach((id, i) => ofIds.set(rows.subarray(id * width * 2, (id + 1) * width * 2), i * width * 2));
  const i32 = (data: Int32Array, shape: number[]) => variableFrom(gpu, data, shape, { dtype: 'i32' }).tensor;
  const inputs = {
    inputIds: i32(ids, [1, ids.length]),
    tokenInfo: i32(causalInfo(new Int32Array(ids.length).fill(1), ids.length), [1, ids.length, 4]),
    hostRows: variableFrom(gpu, ofIds, [ids.length, width], { dtype: 'bf16' }).tensor,
  };
  const params = paramTree(variables);
  const logits = model.logits(params, reshape(model.forward(params, inputs).hidden, [-1, model.hiddenSize]));
  const { rows: predicting, targets } = shiftedTargets(ids, ids.length);
  const target = { rows: i32(predicting, [predicting.length]), targets: i32(targets, [targets.length]) };
  const sums = sumTokenLosses(model, params, inputs, target, { gradientCheckpointing: true });
  const loss = reshape(mul(sums.loss, 1 / targets.length), []);
  const paths = kept.map(({ path }) => path).filter((path) => reference.has(`grad.${hfName(path, config)}`));
  expect(paths).toHaveLength(23);
  const grads = gradients(
    loss,
    paths.map((path) => variables.get(path)!.tensor),
  );
  const [ourLogits, ourLoss, ...ourGrads] = await evaluate(gpu, [logits, loss, ...grads.map((grad) => grad!)]);
  // Sums of 12,288 products in another order.
  expect(relativeError(ourLogits!, reference.get('logits')!.data)).toBeLessThan(3e-5);
  expect(Math.abs(ourLoss![0]! / reference.get('loss')!.data[0]! - 1)).toBeLessThan(1e-5);
  // transformers' own float32 is up to 1.9e-4 away from its double precision.
  paths.forEach((path, i) => {
    expect(relativeError(ourGrads[i]!, reference.get(`grad.${hfName(path, config)}`)!.data), path).toBeLessThan(5e-4);
  });
  gpu.destroy();
});
