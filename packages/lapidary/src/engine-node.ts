import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { textConfigOf, visionConfigOf } from '@lapidary/gemma';
import { baselineProfile, openGpu, type DeviceProfile } from '@lapidary/gpu';
import { byteLength } from '@lapidary/kernels';
import { openData, openModel, planModel, planRun, planRunMemory, runTraining, type TrainPlan } from '@lapidary/trainer';
import { modelWeightLoader, type HubOptions, type WeightLoader } from '@lapidary/weights';
import type { Engine, GenerateRequest, TrainingPlan } from './engine.js';
import { hubToken } from './hub-token-node.js';
import { TextModel } from './text-model.js';

/** What the commands run on in Node. */
export const engine: Engine = {
  openModel: async (model) => loaderOf(model),
  runTraining,
  planTraining: async (config) => {
    const open = await openModel(config.weightLoader);
    try {
      const data = await openData(config, open);
      const model = planModel(open, config);
      const { profile, known } = await profileAtHand();
      const plan = planRunMemory(profile, model, data, config);
      return {
        parameters: [...model.variables.values()].reduce((n, v) => n + v.tensor.size, 0),
        trainableParameters: model.step.trained.reduce((n, t) => n + t.param.tensor.size, 0),
        totalSteps: planRun(config, data.train.length).totalSteps,
        tokensPerStep: config.batchSize * config.maxLength * config.gradientAccumulation,
        memory: plan.memory,
        availableBytes: known ? profile.limits.maxBufferSize : null,
        advice: adviceFor(plan, config.gradientCheckpointing),
      } satisfies TrainingPlan;
    } finally {
      await open.weights.close();
    }
  },
  inspectModel: async (model) => {
    const weights = await loaderOf(model).open();
    try {
      const { layerTypes, eosTokenIds, ...settings } = textConfigOf(weights.config);
      const vision = visionConfigOf(weights.config);
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
        config: {
          ...settings,
          globalLayers: layerTypes.filter((t) => t === 'global').length,
          eosTokenIds: eosTokenIds.join(', '),
          ...(vision && Object.fromEntries(Object.entries(vision).map(([key, value]) => [`vision.${key}`, value]))),
        },
        tensors,
      };
    } finally {
      await weights.close();
    }
  },
  generate,
};

/**
 * Opens what `--model` names, with the user's token for the hub. A local model is known by its whole path, so that a run
 * can be resumed whichever way the path is written.
 */
export function loaderOf(
  model: string,
  options: Pick<HubOptions, 'endpoint'> = {},
): WeightLoader & { readonly description: string } {
  const token = hubToken();
  return {
    description: existsSync(model) ? resolve(model) : model,
    ...modelWeightLoader({ from: model, ...options, ...(token !== undefined && { token }) }),
  };
}

/** The profile of the adapter that a run would use; WebGPU's baseline where there is none. */
async function profileAtHand(): Promise<{ profile: DeviceProfile; known: boolean }> {
  try {
    const gpu = await openGpu();
    gpu.destroy();
    return { profile: gpu.profile, known: true };
  } catch {
    return { profile: baselineProfile, known: false };
  }
}

function adviceFor({ memory }: TrainPlan, checkpointing: boolean): string[] {
  const bytes = (category: RegExp) => memory.find((m) => category.test(m.category))?.bytes ?? 0;
  const advice: [number, string][] = [
    [checkpointing ? 0 : bytes(/Activations/), 'gradient checkpointing (--gradient-checkpointing)'],
    [
      bytes(/Activations/) / 2,
      'shorter rows (--max-length) or fewer of them at a time (--batch-size) with gradient accumulation',
    ],
    [bytes(/Weights/) / 2, 'a quantised base model (a .gguf file)'],
    [bytes(/Optimiser/), 'a smaller LoRA rank, or a LoRA instead of full fine-tuning'],
  ];
  return advice
    .filter(([gain]) => gain > 0)
    .sort((a, b) => b[0] - a[0])
    .map(([, text]) => text);
}

async function generate(
  request: GenerateRequest,
  { onText, signal }: Parameters<Engine['generate']>[1],
): ReturnType<Engine['generate']> {
  const began = performance.now();
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
