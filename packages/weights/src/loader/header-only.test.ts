// Official files by their headers alone: every tensor is a parameter's, another part's, or known to be of no use.
import { families, familyOfHf, modelOf, type HfConfig } from '@lapidary/gemma';
import { expect, it } from 'vitest';
import { fixtureJson } from '../../../../test/support/safetensors-fixture.js';
import { openSafetensors } from '../safetensors/read.js';
import type { ByteSource } from '../source/byte-source.js';
import { rawSafetensors } from '../testing/bytes.js';
import { locate } from './locate.js';

interface Header {
  readonly config: HfConfig;
  readonly tensors: number;
  readonly values: number;
  /** By name; `{a-b}` stands for each number from a to b. */
  readonly shapes: Readonly<Record<string, readonly number[]>>;
}

function namesOf(pattern: string): string[] {
  const [, before, first, last, after] = /^(.*)\{(\d+)-(\d+)\}(.*)$/.exec(pattern) ?? [];
  if (before === undefined) return [pattern];
  return Array.from({ length: Number(last) - Number(first) + 1 }, (_, i) => `${before}${Number(first) + i}${after}`);
}
const product = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** A file in bf16 that has all its bytes, of which only the header can be read. */
async function headerOnly(shapes: Header['shapes']): Promise<ByteSource> {
  let end = 0;
  const entries = Object.entries(shapes).flatMap(([pattern, shape]) =>
    namesOf(pattern).map((name) => {
      const start = end;
      end += product(shape) * 2;
      return [name, { dtype: 'BF16', shape, data_offsets: [start, end] }] as const;
    }),
  );
  const header = rawSafetensors(Object.fromEntries(entries), 0);
  return {
    name: 'model.safetensors',
    size: header.length + end,
    read: async (offset, length) => {
      if (offset + length > header.length) throw new Error('a value was read');
      return header.slice(offset, offset + length);
    },
    close: async () => {},
  };
}

it('accounts for all tensors of Gemma 4 E2B', async () => {
  const { config, tensors, values, shapes } = await fixtureJson<Header>('headers/gemma4-e2b.json');
  const model = modelOf(familyOfHf(config, families).hf.read(config, (notice) => expect.unreachable(notice)));
  const file = await openSafetensors(await headerOnly(shapes));
  const { weights, ignored, passedOn } = locate(file.tensors, model.layouts.safetensors!, model, 'model.safetensors');

  expect(weights.size).toBe(model.params.length);
  const dead = ignored.filter((name) => !passedOn.some((tensor) => tensor.name === name));
  expect(dead).toHaveLength(20 * 3);
  expect(
    dead.every((name) => /layers\.(1[5-9]|2\d|3[0-4])\.self_attn\.(k_proj|v_proj|k_norm)\.weight$/.test(name)),
  ).toBe(true);
  expect(weights.size + ignored.length).toBe(tensors);
  const all = [...file.tensors.values()].reduce((sum, { shape }) => sum + product(shape), 0);
  expect(all).toBe(values);
  expect(passedOn.every(({ name }) => /vision|audio/.test(name))).toBe(true);
});
