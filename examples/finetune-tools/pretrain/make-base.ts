// Makes the small base model of this example: that of examples/finetune, with the seven tokens that FunctionGemma writes calls with. Nothing
// is trained: their rows of the embedding are random, as long as the others'. See README.md here.
//
// usage: tsx --conditions=lapidary-source make-base.ts [FROM_DIR] [OUT_DIR]
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRandom, gemmaConfigFromHf, modelOf } from '@lapidary/gemma';
import { encodeFloats, gemmaWeightLoader, hfModelFiles } from '@lapidary/weights';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const [from = here('../../finetune/base'), out = here('../base')] = process.argv.slice(2);
/** In the order of FunctionGemma's vocabulary. */
const functionTokens = [
  '<start_function_declaration>',
  '<end_function_declaration>',
  '<start_function_call>',
  '<end_function_call>',
  '<start_function_response>',
  '<end_function_response>',
  '<escape>',
];

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const readJson = async (name: string) => JSON.parse(await readFile(join(from, name), 'utf8'));
const config = await readJson('config.json');
const vocabulary: number = config.vocab_size;
const model = modelOf(gemmaConfigFromHf({ ...config, vocab_size: vocabulary + functionTokens.length }));

const source = await gemmaWeightLoader({ from }).open();
const loaded = new Map(
  [...source.entries].map(([path, { shape }]) => [path, { shape, values: new Float32Array(sizeOf(shape)) }] as const),
);
await source.load(new Map([...loaded].map(([path, { shape }]) => [path, { shape, dtype: 'f32' as const }])), {
  write: (path, offset, bytes) => new Uint8Array(loaded.get(path)!.values.buffer).set(bytes, offset),
});
await source.close();

const table = model.params.find(({ role }) => role === 'table')!;
const width = table.shape[1]!;
const known = loaded.get(table.path)!.values;
const length = Math.sqrt(known.reduce((sum, x) => sum + x * x, 0) / vocabulary);
const random = createRandom(1);
const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
const added = Array.from({ length: functionTokens.length * width }, () => (normal() * length) / Math.sqrt(width));
loaded.set(table.path, { shape: table.shape, values: Float32Array.from([...known, ...added]) });
const tensors = new Map(
  [...loaded].map(([path, { shape, values }]) => [
    path,
    { dtype: 'bf16' as const, shape, bytes: encodeFloats(values, 'bf16') },
  ]),
);

await mkdir(out, { recursive: true });
for (const [name, bytes] of Object.entries(await hfModelFiles(model, tensors))) await writeFile(join(out, name), bytes);

const tokenizer = await readJson('tokenizer.json');
functionTokens.forEach((content, i) => {
  const id = vocabulary + i;
  tokenizer.added_tokens.push({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: content === '<start_function_response>',
  });
  tokenizer.model.vocab[content] = id;
});
await writeFile(join(out, 'tokenizer.json'), `${JSON.stringify(tokenizer, null, 1)}\n`);
await writeFile(
  join(out, 'tokenizer_config.json'),
  `${JSON.stringify({ ...(await readJson('tokenizer_config.json')), sfr_token: '<start_function_response>' }, null, 2)}\n`,
);
