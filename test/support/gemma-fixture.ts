import {
  families,
  familyOfHf,
  modelOf,
  planVariables,
  type GemmaConfig,
  type HostRows,
  type Model,
  type ParamPlan,
} from '@lapidary/gemma';
import type { Gpu } from '@lapidary/gpu';
import type { Variable } from '@lapidary/tensor';
import { fixtureJson, fixtureTensors, type FixtureTensor } from './safetensors-fixture.js';

/** The Hugging Face name of a canonical parameter path, written down again here so that tests do not rest on the loader's tables. */
export function hfName(path: string, { family }: Pick<GemmaConfig, 'family'> | { readonly family: string }): string {
  const suffixes: Record<string, string> = {
    embedTokens: 'embed_tokens',
    finalNorm: 'norm',
    inputNorm: 'input_layernorm',
    postMlpNorm: 'post_feedforward_layernorm',
    postAttnNorm: 'post_attention_layernorm',
    preMlpNorm: family === 'gemma1' ? 'post_attention_layernorm' : 'pre_feedforward_layernorm',
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
    perLayerEmbedTokens: 'embed_tokens_per_layer',
    perLayerModelProjection: 'per_layer_model_projection',
    perLayerInputGate: 'per_layer_input_gate',
    perLayerProjection: 'per_layer_projection',
    layerScalar: 'layer_scalar',
  };
  return `model.${path
    .replace('perLayerInputs.norm', 'per_layer_projection_norm')
    .replace('perLayerInput.postNorm', 'post_per_layer_input_norm')
    .replace(/perLayerInputs?\./, '')
    .split('.')
    .map((part) => suffixes[part] ?? part)
    .join('.')}`;
}

export interface ModelFixture {
  readonly model: Model;
  /** Of all parameters but the table on the host. */
  readonly variables: Map<string, Variable>;
  readonly reference: Map<string, FixtureTensor>;
  /** Of the table on the host, f32; undefined where the model has none. */
  readonly hostRows: HostRows | undefined;
}

/** A tiny checkpoint written by transformers, on the device in f32, with its reference. */
export async function modelFixture(gpu: Gpu, name: string, among = families): Promise<ModelFixture> {
  const json = await fixtureJson<Record<string, unknown>>(`models/${name}/config.json`);
  const model = modelOf(familyOfHf(json, among).hf.read(json));
  const weights = await fixtureTensors(`models/${name}/model.safetensors`);
  // Whole models have their text model one level down.
  const valuesOf = (path: string) => {
    const hf = hfName(path, model.config);
    const names = [hf, `language_model.${hf}`, hf.replace('model.', 'model.language_model.')];
    return weights.get(names.find((each) => weights.has(each))!)!.data;
  };
  const plans = new Map<string, ParamPlan>();
  const kept = model.params.filter(({ isOnHost }) => !isOnHost);
  for (const { path, shape } of kept) plans.set(path, { shape, dtype: 'f32', category: 'trainable' });
  const variables = planVariables(plans);
  for (const [path, variable] of variables) variable.allocate(gpu).write(valuesOf(path));
  const table = model.params.find(({ isOnHost }) => isOnHost);
  return {
    model,
    variables,
    reference: await fixtureTensors(`models/${name}/reference.safetensors`),
    hostRows: table && {
      path: table.path,
      dtype: 'f32',
      rows: table.shape[0]!,
      width: table.shape[1]!,
      read: async (ids) => {
        const [values, width] = [valuesOf(table.path), table.shape[1]!];
        const rows = new Float32Array(ids.length * width);
        ids.forEach((id, i) => rows.set(values.subarray(id * width, (id + 1) * width), i * width));
        return new Uint8Array(rows.buffer);
      },
    },
  };
}

export interface GemmaFixture extends ModelFixture {
  readonly config: GemmaConfig;
  readonly model: Model<GemmaConfig>;
}

/** The same of a Gemma 1, 2 or 3. */
export async function gemmaFixture(gpu: Gpu, name: string): Promise<GemmaFixture> {
  const fixture = await modelFixture(gpu, name);
  const model = fixture.model as Model<GemmaConfig>;
  return { ...fixture, model, config: model.config };
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
