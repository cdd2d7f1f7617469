// Models and adapters that we export for llama.cpp, run by it: it has the logits of transformers and PEFT (test/fixtures/gguf-exports).
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getLlama, type Llama, LlamaLogLevel } from 'node-llama-cpp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ggufBaseFile, ggufCases, ggufLoraFile, ggufModelFile } from './support/gguf-cases.js';
import { fixtureJson, fixtureTensors } from './support/safetensors-fixture.js';

let folder: string;
let llama: Llama;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapidary-gguf-'));
  llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, progressLogs: false });
});
afterAll(async () => {
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

  // Its GELU is a table of f16: 1e-3 and less even with f32 weights.
  it.each([
    ['f32', 5e-3],
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

  it.runIf(ggufCase.isLora)('the adapter beside the base', async () => {
    const { ids, logits, vocab } = await reference();
    const base = await written(await ggufBaseFile(ggufCase));
    const lora = await written(await ggufLoraFile(ggufCase));
    const error = worst(await probabilities(base, ids, lora), logits, vocab);
    console.log(`${name} lora: ${error.toExponential(1)}`);
    expect(error).toBeLessThan(5e-3);
    // The adapter does something.
    expect(worst(await probabilities(base, ids), logits, vocab)).toBeGreaterThan(0.1);
  });
});

it('has the words of tokenizer.json', async () => {
  const model = await llama.loadModel({ modelPath: await written(await ggufModelFile(ggufCases[2]!, 'f32')) });
  const { encode } = await fixtureJson<{ encode: { text: string; ids: number[] }[] }>('tokenizer/cases.json');
  for (const { text, ids } of encode) expect(model.tokenize(text, true), JSON.stringify(text)).toEqual(ids);
  expect(model.fileInfo.metadata.tokenizer.chat_template).toContain('start_of_turn');
  expect(encode.length).toBeGreaterThan(20);
  await model.dispose();
});
