import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { modelPresets } from '@lapidary/gemma';
import { baselineProfile, openGpu, type DeviceProfile, type Gpu } from '@lapidary/gpu';
import { byteLength } from '@lapidary/kernels';
import {
  describeRecomputed,
  openData,
  openModel,
  planModel,
  planPreset,
  planRun,
  planRunMemory,
  profileTraining,
  runTraining,
  tryFit,
  tuneTraining,
  type ModelPlan,
  type ResolvedTrainConfig,
} from '@lapidary/trainer';
import { modelWeightLoader, type HubOptions, type WeightLoader } from '@lapidary/weights';
import type { Engine, GenerateRequest } from './engine.js';
import { hubToken } from './hub-token-node.js';
import { TextModel } from './text-model.js';
import { UsageError } from './usage-error.js';

/** What the commands run on in Node. */
export const engine: Engine = {
  openModel: async (model) => loaderOf(model),
  runTraining,
  planTraining: async (config) => {
    const open = await openModel(config.weightLoader);
    try {
      const data = await openData(config, open);
      const model = planModel(open, config);
      return await withAdapter(async (profile, gpu) => {
        const plan = planRunMemory(profile, model, data, config);
        return {
          ...countsOf(model, config),
          totalSteps: planRun(config, data.train.length).totalSteps,
          memory: plan.memory,
          recomputed: describeRecomputed(plan, config.memoryBudget),
          fit: gpu && (await tryFit(gpu, plan, config)),
        };
      });
    } finally {
      await open.weights.close();
    }
  },
  planRelease: (name, config) =>
    withAdapter(async (profile, gpu) => {
      const { model, plan } = planPreset(profile, modelPresets[name], config);
      return {
        ...countsOf(model, config),
        totalSteps: config.steps,
        memory: plan.memory,
        recomputed: describeRecomputed(plan, config.memoryBudget),
        fit: gpu && (await tryFit(gpu, plan, config)),
      };
    }),
  profileTraining,
  tuneTraining,
  inspectModel: async (model) => {
    const weights = await loaderOf(model).open();
    try {
      const tensors = [...weights.entries].map(([name, { dtype, shape }]) => ({
        name,
        dtype,
        shape,
        bytes: byteLength(
          dtype,
          shape.reduce((a, b) => a * b, 1),
        ),
      }));
      return {
        source: model,
        format: weights.format,
        family: weights.config.family,
        parameters: tensors.reduce((n, t) => n + t.shape.reduce((a, b) => a * b, 1), 0),
        bytes: tensors.reduce((n, t) => n + t.bytes, 0),
        config: weights.model.settings,
        tensors,
      };
    } finally {
      await weights.close();
    }
  },
  generate,
};

function countsOf(model: ModelPlan, config: ResolvedTrainConfig) {
  return {
    parameters: [...model.variables.values()].reduce((n, v) => n + v.tensor.size, 0),
    trainableParameters: model.step.trained.reduce((n, t) => n + t.param.tensor.size, 0),
    tokensPerStep: config.batchSize * config.maxLength * config.gradientAccumulation,
  };
}

/**
 * Opens what `--model` names, with the user's token for the hub. A local model is known by its whole path, so that a run
 * can be resumed whichever way the path is written.
 */
export function loaderOf(
  model: string,
  options: Pick<HubOptions, 'endpoint'> = {},
): WeightLoader & { readonly description: string; readonly baseModel: string } {
  const token = hubToken();
  return {
    ...modelWeightLoader({ from: model, ...options, ...(token !== undefined && { token }) }),
    description: existsSync(model) ? resolve(model) : model,
    // As it was written: an adapter that is passed on says nothing of the folders above.
    baseModel: model,
  };
}

/** Plans for the adapter that a run would use; for WebGPU's baseline, and without a device, where there is none. */
async function withAdapter<T>(plan: (profile: DeviceProfile, gpu: Gpu | null) => Promise<T>): Promise<T> {
  const gpu = await openGpu().catch(() => null);
  try {
    return await plan(gpu?.profile ?? baselineProfile, gpu);
  } finally {
    gpu?.destroy();
  }
}

/** @throws UsageError for what cannot be read */
async function readImage(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    const problem = isMissing ? 'there is no such file' : (cause as Error).message;
    throw new UsageError({
      message: `${path} cannot be read: ${problem}.`,
      hint: '--image takes a PNG, JPEG or WebP.',
    });
  }
}

async function generate(
  request: GenerateRequest,
  { onText, signal }: Parameters<Engine['generate']>[1],
): ReturnType<Engine['generate']> {
  const began = performance.now();
  const images = await Promise.all(request.images.map(readImage));
  const model = await TextModel.open(loaderOf(request.model), {
    signal,
    ...(request.adapter !== null && { adapter: request.adapter }),
  });
  try {
    const prompt = request.chat ? ([{ role: 'user', content: request.prompt }] as const) : request.prompt;
    const answer = model.answer(prompt, {
      maxNewTokens: request.maxTokens,
      temperature: request.temperature,
      topK: request.topK ?? 0,
      topP: request.topP ?? 1,
      stop: request.stop,
      seed: request.seed,
      images,
      signal,
    });
    let text = '';
    let next = await answer.next();
    for (; !next.done; next = await answer.next()) {
      text += next.value;
      onText(next.value);
    }
    return { text, ...next.value, seconds: (performance.now() - began) / 1000 };
  } finally {
    model.destroy();
  }
}
