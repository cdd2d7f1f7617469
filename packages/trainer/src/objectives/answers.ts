import { createTextStream, Generator, planGeneration, stopTokensOf, type GenerationPlan } from '@lapidary/gemma';
import type { Gpu } from '@lapidary/gpu';
import type { RunLogger } from '../metrics/logger.js';
import type { SampleContext, SamplePlan } from './objective.js';

/** A prompt that is answered when samples are taken. */
export interface SamplePrompt {
  /** Which row, so that answers of different steps can stand side by side. */
  readonly id: string;
  /** Those of its pictures included. */
  readonly tokens: readonly number[];
  readonly pictureCount: number;
  /** The answer in the data; null where there is none. */
  readonly expected: string | null;
  /** f32 [I·N, 3·p·p] of its I pictures; undefined where there are none. */
  patches(): Promise<Float32Array | undefined>;
  /** Its pictures as data URLs, those that are not too large. */
  pictures(): Promise<readonly string[]>;
}

/** Answers of at most `maxNewTokens` tokens to prompts, always the likeliest token. The cache is as long as the longest needs. */
export function planAnswers(
  prompts: readonly SamplePrompt[],
  maxNewTokens: number,
  context: SampleContext,
): SamplePlan {
  const { profile, model, params, hostRows } = context;
  const maxLength = Math.max(...prompts.map(({ tokens }) => tokens.length)) + maxNewTokens;
  const sizes = prompts.map(({ tokens, pictureCount }) => ({ tokens: tokens.length, pictures: pictureCount }));
  const plan = planGeneration(profile, params, model, { maxLength, hostRows });
  return {
    bytes: plan.plannedBytes(sizes),
    prepare: (gpu) => plan.prepare(gpu, sizes),
    take: (gpu, step, told) => answerAll(gpu, plan, { prompts, maxNewTokens, step, context, told }),
  };
}

interface Asked {
  readonly prompts: readonly SamplePrompt[];
  readonly maxNewTokens: number;
  readonly step: number;
  readonly context: SampleContext;
  readonly told: { readonly logger: RunLogger; readonly signal?: AbortSignal };
}

async function answerAll(gpu: Gpu, plan: GenerationPlan, asked: Asked): Promise<void> {
  const { prompts, maxNewTokens, step, context, told } = asked;
  const { tokenizer, model } = context;
  if (tokenizer === undefined) return;
  const { logger, signal } = told;
  await logger.onPhase?.({ name: 'Answering sample rows' });
  const stopTokens = stopTokensOf(model, tokenizer);
  const generator = new Generator(gpu, plan);
  try {
    for (const prompt of prompts) {
      if (signal?.aborted) return;
      const { tokens, id, expected } = prompt;
      const patches = await prompt.patches();
      const text = createTextStream(tokenizer);
      let answer = '';
      const question = { tokens, ...(patches && { patches }) };
      for await (const token of generator.generate(question, { maxNewTokens, stopTokens })) {
        if (signal?.aborted) return;
        answer += text.push(token);
      }
      answer += text.flush();
      const shown = await prompt.pictures();
      const pictures = shown.length > 0 ? { pictures: shown } : {};
      await logger.onSample?.({ step, id, prompt: tokenizer.decode(tokens), answer, expected, ...pictures });
    }
  } finally {
    await generator.destroy();
  }
}
