// Models and adapters that we export for llama.cpp, run by it: it has the logits of transformers and PEFT (test/fixtures/gguf-exports), and
// of a file those that we have of it.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tokenizerFromGguf, tokenizerFromJson, tokenizerToGguf } from '@lapidary/gemma';
import { type Gpu, openGpu } from '@lapidary/gpu';
import { bufferSource, encodeGguf, openGguf } from '@lapidary/weights';
import { getLlama, type Llama, LlamaLogLevel } from 'node-llama-cpp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ggufAnswers } from './support/gguf-answers.js';
import { ggufBaseFile, ggufCases, ggufLoraFile, ggufModelFile, isGgufBase } from './support/gguf-cases.js';
import { fixtureJson, fixtureTensors } from './support/safetensors-fixture.js';

let folder: string;
let llama: Llama;
let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
  folder = await mkdtemp(join(tmpdir(), 'lapidary-gguf-'));
  llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, progressLogs: false });
});
afterAll(async () => {
  gpu.destroy();
  await llama.dispose();
  await rm(folder, { recursive: true });
});

async function written({ name, bytes }: { name: string; bytes: Uint8Array }): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
}

/** What llama.cpp takes to come after each token, by token. */
async function probabilities(modelPath: string, ids: readonly number[], lora?: string): Promise<Map<number, number>[]> {
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({
    contextSize: 64,
    // Its threads wait for each other spinning: on a busy machine for minutes.
    threads: 1,
    ...(lora !== undefined && { lora: { adapters: [{ filePath: lora, scale: 1 }] } }),
  });
  try {
    const asked = ids.map((id) => [id as never, { generateNext: { probabilities: true } }] as const);
    const answers = await context.getSequence().controlledEvaluate(asked.map(([id, options]) => [id, options]));
    return answers.map((answer) => answer?.next.probabilities as unknown as Map<number, number>);
  } finally {
    await context.dispose();
    await model.dispose();
  }
}

const argmax = (answer: ReadonlyMap<number, number>) =>
  [...answer].reduce((most, each) => (each[1] > most[1] ? each : most))[0];

/** The largest error of any probability, as a part of the largest of its place. */
function worst(found: readonly Map<number, number>[], logits: Float32Array, vocab: number): number {
  return Math.max(
    ...found.map((answer, t) => {
      const row = Array.from(logits.slice(t * vocab, (t + 1) * vocab));
      const top = Math.max(...row);
      const sum = row.reduce((total, logit) => total + Math.exp(logit - top), 0);
      expect(answer.size).toBe(vocab);
      return Math.max(...row.map((logit, id) => Math.abs((answer.get(id) ?? 0) * sum - Math.exp(logit - top))));
    }),
  );
}

describe.each(ggufCases.map((each) => [each.name, each] as const))('%s', (name, ggufCase) => {
  const reference = async () => {
    const tensors = await fixtureTensors(`gguf-exports/${name}.safetensors`);
    const logits = tensors.get('logits')!;
    const ids = Array.from(tensors.get('input_ids')!.data);
    return { ids, logits: logits.data as Float32Array, vocab: logits.shape.at(-1)! };
  };

  // Its GELU is a table of f16: some 1e-3 even with f32 weights.
  it.each([
    ['f32', 1e-2],
    ['f16', 2e-2],
    ['bf16', 0.1],
    ['q8_0', 0.15],
  ] as const)('merged, %s', async (quant, bound) => {
    const { ids, logits, vocab } = await reference();
    const path = await written(await ggufModelFile(ggufCase, quant));
    const error = worst(await probabilities(path, ids), logits, vocab);
    console.log(`${name} ${quant}: ${error.toExponential(1)}`);
    expect(error).toBeLessThan(bound);
  });

  // The same values here and there; beside blocks llama.cpp rounds what they are multiplied with to 8 bits.
  it.each([
    ['f16', 2e-2],
    ['q8_0', 0.2],
    ['q4_0', 0.3],
  ] as const)('merged, %s: what we read of the file, and what we answer', async (quant, bound) => {
    const { ids, vocab } = await reference();
    const file = await ggufModelFile(ggufCase, quant);
    const prompt = ids.slice(0, 5);
    const { logits, answer } = await ggufAnswers(gpu, file.bytes, { ids, prompt, newTokens: 8 });
    const path = await written(file);
    const error = worst(await probabilities(path, ids), logits, vocab);
    expect(error).toBeLessThan(bound);
    const next = (await probabilities(path, [...prompt, ...answer.slice(0, -1)])).slice(prompt.length - 1);
    const likeliest = next.map(argmax);
    const others = likeliest.filter((id, i) => id !== answer[i]).length;
    console.log(`${name} ${quant}, as we read it: ${error.toExponential(1)}, ${others} of 8 answered otherwise`);
    // Two words may be as likely as that error.
    next.forEach((answers, i) =>
      expect(answers.get(answer[i]!)! / answers.get(likeliest[i]!)!).toBeGreaterThan(1 - bound),
    );
  });

  it.runIf(ggufCase.isLora)('the adapter beside the base', async () => {
    const { ids, logits, vocab } = await reference();
    const base = await written(await ggufBaseFile(ggufCase));
    const lora = await written(await ggufLoraFile(ggufCase));
    const error = worst(await probabilities(base, ids, lora), logits, vocab);
    const without = worst(await probabilities(base, ids), logits, vocab);
    console.log(`${name} lora: ${error.toExponential(1)}, without it ${without.toExponential(1)}`);
    expect(error).toBeLessThan(isGgufBase(ggufCase) ? 0.25 : 1e-2);
    // The adapter does something.
    expect(without).toBeGreaterThan(Math.max(0.1, 3 * error));
  });
});

it.each([
  ['tokenizer.json', 'gemma3', 'tokenizer'],
  ['tokenizer.model', 'sentencepiece', 'tokenizer-paligemma'],
  ['a GGUF of 4-bit blocks', 'of-q4_0', 'tokenizer'],
  ['a GGUF of 8-bit blocks', 'of-q8_0', 'tokenizer'],
])('has the words of %s', async (_, name, folder) => {
  const file = await ggufModelFile(ggufCases.find((each) => each.name === name)!, 'f16');
  const model = await llama.loadModel({ modelPath: await written(file) });
  const { metadata } = await openGguf(bufferSource(file.name, file.bytes));
  const ours = await tokenizerFromGguf(metadata);
  const { encode } = await fixtureJson<{ encode: { text: string; ids: number[]; transformersIds?: number[] }[] }>(
    `${folder}/cases.json`,
  );
  for (const { text, ids, transformersIds } of encode) {
    // Control pieces that a text names are pieces for llama.cpp and transformers.
    const expected = /<(pad|eos|bos|unk)>/.test(text) ? (transformersIds ?? ids) : ids;
    expect(model.tokenize(text, true), JSON.stringify(text)).toEqual(expected);
    expect(ours.encode(text, { addSpecialTokens: false }), JSON.stringify(text)).toEqual(expected);
  }
  expect(model.fileInfo.metadata.tokenizer.chat_template).toContain('start_of_turn');
  expect(encode.length).toBeGreaterThan(20);
  await model.dispose();
});

it('has the words of a tokenizer.json with merges', async () => {
  const tokenizerJson = await fixtureJson('tokenizer-merges/tokenizer.json');
  const tokenizer = await tokenizerFromJson(tokenizerJson, await fixtureJson('tokenizer-merges/tokenizer_config.json'));
  const metadata = tokenizerToGguf({ tokenizerJson }, { form: 'merges', vocabSize: tokenizer.vocabSize, tokenizer });
  const architecture = { 'general.architecture': ['string', 'gemma3'] } as const;
  const pieces = [];
  for await (const piece of encodeGguf({ ...architecture, ...metadata }, new Map())) pieces.push(piece);
  const bytes = new Uint8Array(await new Blob(pieces as BlobPart[]).arrayBuffer());
  const model = await llama.loadModel({ modelPath: await written({ name: 'merges.gguf', bytes }), vocabOnly: true });
  const { encode } = await fixtureJson<{ encode: { text: string; ids: number[] }[] }>('tokenizer-merges/cases.json');
  for (const { text, ids } of encode) {
    if (text === '') continue;
    expect(model.tokenize(text, true), JSON.stringify(text)).toEqual(ids);
  }
  await model.dispose();
});
