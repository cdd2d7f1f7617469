// From texts that belong together to vectors of texts, as a user has it: sentence-transformers' vectors, training, the adapter's vectors.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runCliProcess } from './support/run-cli-node.js';
import { fixtureJson, fixtureTensors } from './support/safetensors-fixture.js';

const model = fileURLToPath(new URL('./fixtures/embeddings/odd', import.meta.url));

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapidary-embed-'));
});
afterAll(() => rm(folder, { recursive: true }));

const lapidary = (...args: readonly string[]) => runCliProcess(args, { cwd: folder });
const parse = (lines: string) =>
  lines
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { text: string; embedding: number[] });

it('gives the vectors of sentence-transformers', async () => {
  const { queries } = await fixtureJson<{ queries: string[] }>('embeddings/odd/reference.json');
  const expected = (await fixtureTensors('embeddings/odd/reference.safetensors')).get('query')!;
  const { code, stdout, output } = await lapidary('embed', '--model', model, '--prompt', 'query', ...queries);
  expect(code, output).toBe(0);
  const found = parse(stdout);
  expect(found.map(({ text }) => text)).toEqual(queries);
  found
    .flatMap(({ embedding }) => embedding)
    .forEach((value, i) => expect(Math.abs(value - expected.data[i]!)).toBeLessThan(1e-5));
});

it('learns which texts belong together, and finds them by the adapter', async () => {
  const rows = ['lamp', 'river', 'house', 'stone', 'light', 'gem'].map((thing, i) => ({
    query: `where is the ${thing}`,
    document: `${['here', 'there', 'nowhere'][i % 3]}: ${thing}`,
  }));
  await writeFile(join(folder, 'rows.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
  const learned = await lapidary(
    ...['finetune', '--model', model, '--data', 'rows.jsonl', '--eval-data', 'rows.jsonl', '--out', 'run'],
    ...[
      '--objective',
      'contrastive',
      '--batch-size',
      '3',
      '--accumulate',
      '2',
      '--steps',
      '30',
      '--lr',
      '1e-2',
      '--rank',
      '8',
    ],
  );
  expect(learned.code, learned.output).toBe(0);
  expect(learned.output).toMatch(/After step 30: eval loss [\d.]+, ndcg@10 1\.000, accuracy@1 1\.000/);
  const vectors: Record<string, number[][]> = {};
  for (const key of ['query', 'document']) {
    const made = await lapidary(
      ...['embed', '--model', model, '--adapter', 'run', '--data', 'rows.jsonl', '--key', key, '--prompt', key],
      ...['--out', `${key}.jsonl`],
    );
    expect(made.code, made.output).toBe(0);
    vectors[key] = parse(await readFile(join(folder, `${key}.jsonl`), 'utf8')).map(({ embedding }) => embedding);
  }
  const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
  const nearest = vectors['query']!.map((query) => {
    const scores = vectors['document']!.map((document) => dot(query, document));
    return scores.indexOf(Math.max(...scores));
  });
  expect(nearest).toEqual([0, 1, 2, 3, 4, 5]);
});

it.each([
  ['generate', '--model', model, 'hello'],
  ['chat', '--model', model],
])('is refused where answers are wanted: %s', async (...args) => {
  const { code, output } = await lapidary(...args);
  expect(code, output).toBe(1);
  expect(output).toMatch(/EmbeddingGemma turns texts into vectors and answers nothing/);
});
