import { expect, test } from 'vitest';
import { type FixtureTensor, fixtureJson, fixtureTensors } from '../../../../test/support/safetensors-fixture.js';
import type { AttentionInput } from '../reference/attention.js';
import { sees } from '../reference/attention.js';
import { gpuBackward, gpuForward } from '../testing/attention-cases.js';
import { relativeError, testGpu } from '../testing/test-gpu.js';

/** What PyTorch made of each case, in double precision (`test/fixtures/op_attention.py`). */
interface Fixture {
  readonly name: string;
  readonly attrs: { scale: number; softcap: number | null; window: number | null; offset: number };
  readonly inputs: readonly string[];
}
const { cases } = await fixtureJson<{ cases: Fixture[] }>('ops/attention.json');
const tensors = await fixtureTensors('ops/attention.safetensors');

function tensor(name: string): FixtureTensor {
  const found = tensors.get(name);
  if (found === undefined) throw new Error(`no tensor '${name}' in attention.safetensors`);
  return found;
}
const floats = (name: string) => tensor(name).data as Float32Array;
const ints = (name: string) => tensor(name).data as Int32Array;

/** Token records of a fixture's prefixes, padding and documents, over its keys. */
function recordsOf({ name, inputs }: Fixture, batch: number, keys: number): Int32Array {
  const input = (key: string) => (inputs.includes(key) ? ints(`${name}/in/${key}`) : undefined);
  const prefix = input('prefix');
  const padding = input('padding');
  const segments = input('segments');
  const info = new Int32Array(batch * keys * 4);
  for (let b = 0; b < batch; b++) {
    for (let s = 0; s < keys; s++) {
      const at = b * keys + s;
      const segment = padding?.[at] === 0 ? 0 : (segments?.[at] ?? 0) + 1;
      // Within a prefix all share block 0, which everything after it sees.
      info.set([segment, s < (prefix?.[b] ?? 0) ? 0 : s + 1, s, 0], at * 4);
    }
  }
  return info;
}

test.each(cases.map((c) => [c.name, c] as const))('PyTorch: %s', async (name, c) => {
  const gpu = await testGpu();
  const qShape = tensor(`${name}/in/q`).shape;
  const kShape = tensor(`${name}/in/k`).shape;
  const [batch, queries, heads, headDim] = qShape as [number, number, number, number];
  const [, keys, kvHeads] = kShape as [number, number, number];
  const kInfo = recordsOf(c, batch, keys);
  const qInfo = new Int32Array(batch * queries * 4);
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < queries; t++) {
      const from = (b * keys + c.attrs.offset + t) * 4;
      qInfo.set(kInfo.subarray(from, from + 4), (b * queries + t) * 4);
      // In the fixtures a padding token still looks at the others; here it sees nothing, unless it is called real.
      qInfo[(b * queries + t) * 4] ||= 1;
    }
  }
  const input = {
    ...{ batch, queries, keys, heads, kvHeads, headDim, scale: c.attrs.scale },
    ...{ softcap: c.attrs.softcap ?? 0, window: c.attrs.window ?? 0 },
    ...{ q: floats(`${name}/in/q`), k: floats(`${name}/in/k`), v: floats(`${name}/in/v`), qInfo, kInfo },
  } satisfies AttentionInput;

  const allowed = ints(`${name}/in/allowed`);
  for (let i = 0; i < batch * queries; i++) {
    for (let s = 0; s < keys; s++) {
      const key = (Math.floor(i / queries) * keys + s) * 4;
      const visible = sees(qInfo.subarray(i * 4, i * 4 + 4), kInfo.subarray(key, key + 4), input);
      expect(visible, `query ${i}, key ${s}`).toBe(allowed[i * keys + s] === 1);
    }
  }

  const forward = await gpuForward(gpu, input);
  expect(relativeError(forward.out, floats(`${name}/out/out`))).toBeLessThan(1e-6);
  // The backward pass has one record a token, so padding tokens cannot look at others there.
  if (queries !== keys || c.inputs.includes('padding')) return;
  const found = await gpuBackward(gpu, input, forward, floats(`${name}/cotangent/out`));
  for (const [key, gradient] of [
    ['q', found.dq],
    ['k', found.dk],
    ['v', found.dv],
  ] as const) {
    const expected = floats(`${name}/grad/${key}`);
    // Gradients that are 0 in theory (one key seen) are the rounding of their terms, here about as large as the values.
    const size = Math.max(Math.hypot(...expected), 0.1 * Math.hypot(...input.v));
    expect(Math.hypot(...gradient.map((x, i) => x - expected[i]!)) / size, key).toBeLessThan(5e-6);
  }
});
