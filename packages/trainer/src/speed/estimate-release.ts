import {
  modelPresets,
  modelOf,
  paramTree,
  plannedHostRows,
  planGeneration,
  planVariables,
  type ModelPresetName,
  type ParamPlan,
} from '@lapidary/gemma';
import type { DeviceProfile } from '@lapidary/gpu';
import { resolveTrainConfig } from '../config/resolve-train-config.js';
import { planRelease } from '../run/prepare/prepare-run.js';
import { noEvals, programsOf } from '../run/prepare/plan-programs.js';
import { estimateSeconds } from './estimate-seconds.js';
import type { DeviceSpeed } from './measure-speed.js';

/** What may be expected of a released model on a device. */
export interface ReleaseEstimate {
  readonly model: ModelPresetName;
  /** A LoRA of rank 16 in every linear, one row of `tokens` a step. */
  readonly training: { readonly tokens: number; readonly secondsPerStep: number; readonly tokensPerSecond: number };
  /** One answer, with room for `context` tokens. */
  readonly answering: { readonly context: number; readonly tokensPerSecond: number };
}

const tokens = 512;

/**
 * Estimates a released model, its weights bf16 as published, from its plans: no weight is read. Whether it fits is not asked.
 * @throws what planning does where the device cannot bind what it takes
 */
export function estimateRelease(name: ModelPresetName, profile: DeviceProfile, speed: DeviceSpeed): ReleaseEstimate {
  const released = modelPresets[name];
  const config = resolveTrainConfig({
    weightLoader: { open: () => Promise.reject(new Error('nothing is read of a plan')) },
    data: { source: [] },
    lora: { rank: 16 },
    batchSize: 1,
    maxLength: tokens,
  });
  const { plan } = planRelease(released, config, { profile });
  const { training } = plan;
  const programs = programsOf({ training, evals: noEvals });
  const secondsPerStep = programs.reduce((sum, each) => sum + estimateSeconds(each, speed), 0);
  const model = modelOf(released);
  const context = tokens + (model.vision?.tokensPerImage ?? 0);
  const plans = new Map<string, ParamPlan>();
  for (const { path, shape, isOnHost } of model.params)
    if (!isOnHost) plans.set(path, { shape, dtype: 'bf16', category: 'weights' });
  const hostRows = plannedHostRows(model, 'bf16');
  const answers = planGeneration(profile, paramTree(planVariables(plans)), model, { maxLength: context, hostRows });
  return {
    model: name,
    training: { tokens, secondsPerStep, tokensPerSecond: tokens / secondsPerStep },
    answering: { context, tokensPerSecond: 1 / estimateSeconds(answers.token, speed) },
  };
}
