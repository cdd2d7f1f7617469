import {
  gemmaConfigFromHf,
  modelOf,
  planVariables,
  type GemmaConfig,
  type Model,
  type ParamPlan,
} from '@lapidary/gemma';
import type { Gpu } from '@lapidary/gpu';
import type { Variable } from '@lapidary/tensor';
import { fixtureJson, fixtureTensors, type FixtureTensor } from './safetensors-fixture.js';

/** The Hugging Face name of a canonical parameter path, written down again here so that tests do not rest on the loader's tables. */
export function hfName(path: string, config: GemmaConfig): string {
  const suffixes: Record<string, string> = {
    embedTokens: 'embed_tokens',
    finalNorm: 'norm',
    inputNorm: 'input_layernorm',
    postMlpNorm: 'post_feedforward_layernorm',
    postAttnNorm: 'post_attention_layernorm',
    preMlpNorm: config.family === 'gemma1' ? 'post_attention_layernorm' : 'pre_feedforward_layernorm',
    attn: 'self_attn',
    qProj: 'q_proj',
    kProj: 'k_proj',
    vProj: 'v_proj',
    oProj: 'o_proj',
    qNorm: 'q_norm',
    kNorm: 'k_norm',
    gateProj: 'gate_proj',
    upProj: 'up_proj',
    downProj: 'down_proj',
  };
  return `model.${path
    .split('.')
    .map((part) => suffixes[part] ?? part)
    .join('.')}`;
}

export interface GemmaFixture {
  readonly config: GemmaConfig;
  readonly model: Model<GemmaConfig>;
  readonly variables: Map<string, Variable>;
  readonly reference: Map<string, FixtureTensor>;
}

/** A tiny checkpoint written by transformers, on the device in f32, with its reference. */
export async function gemmaFixture(gpu: Gpu, name: string): Promise<GemmaFixture> {
  const config = gemmaConfigFromHf(await fixtureJson<Record<string, unknown>>(`models/${name}/config.json`));
  const weights = await fixtureTensors(`models/${name}/model.safetensors`);
  const plans = new Map<string, ParamPlan>();
  const model = modelOf(config);
  for (const { path, shape } of model.params) plans.set(path, { shape, dtype: 'f32', category: 'trainable' });
  const variables = planVariables(plans);
  for (const [path, variable] of variables) {
    const hf = hfName(path, config);
    // A multimodal Gemma 3 has its text model one level down.
    variable.allocate(gpu).write((weights.get(hf) ?? weights.get(`language_model.${hf}`))!.data);
  }
  return { config, model, variables, reference: await fixtureTensors(`models/${name}/reference.safetensors`) };
}

/** Token records of a batch: padding (mask 0) in segment 0, the rest causal. */
export function causalInfo(attentionMask: ArrayLike<number>, length: number): Int32Array {
  return Int32Array.from({ length: attentionMask.length * 4 }, (_, i) => {
    const at = (i >> 2) % length;
    return [attentionMask[i >> 2]!, at, at, 0][i & 3]!;
  });
}

/** Rows that predict a target, and their targets, from Hugging Face labels [B, T] (−100: ignored). */
export function shiftedTargets(labels: ArrayLike<number>, length: number): { rows: Int32Array; targets: Int32Array } {
  const rows: number[] = [];
  const targets: number[] = [];
  for (let i = 0; i < labels.length; i++) {
    if (i % length === length - 1 || labels[i + 1] === -100) continue;
    rows.push(i);
    targets.push(labels[i + 1]!);
  }
  return { rows: Int32Array.from(rows), targets: Int32Array.from(targets) };
}
