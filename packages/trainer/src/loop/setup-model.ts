import {
  loraSpecs,
  initialLora,
  initialParam,
  createRandom,
  loraScale,
  modelParamSpecs,
  paramTree,
  planVariables,
  tokenizerFromGguf,
  tokenizerFromJson,
  tokenizerFromSentencePiece,
  type ModelConfig,
  type LoraSpec,
  type ParamPlan,
  type Tokenizer,
} from '@lapidary/gemma';
import type { Gpu } from '@lapidary/gpu';
import type { Variable } from '@lapidary/tensor';
import { byteLength } from '@lapidary/kernels';
import {
  encodeFloats,
  type LoadReport,
  type OpenedWeights,
  type WeightEntry,
  type WeightLoader,
  type WeightSink,
} from '@lapidary/weights';
import { createLoraTargetFilter, createTrainableFilter, joinPathPatterns } from '../config/path-patterns.js';
import { findUnmatched } from '../config/unmatched-patterns.js';
import type { ResolvedTrainConfig } from '../config/train-config.js';
import { ConfigError } from '../errors/errors.js';
import { fingerprintWeights, fnv1a } from './fingerprint.js';
import { planTrained, type StepModel } from './train-programs.js';

/** A checkpoint that is open, with its tokenizer. */
export interface OpenModel {
  readonly weights: OpenedWeights;
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
}

/** Official tokenizers of Gemma, and of PaliGemma in big_vision. */
const sentencePieceFiles = ['tokenizer.model', 'paligemma_tokenizer.model'];

/** Opens what a config's loader points to. */
export async function openModel(loader: {
  open(...args: never[]): unknown;
  readonly tokenizer?: unknown;
}): Promise<OpenModel> {
  const weights = await (loader as WeightLoader).open();
  try {
    const tokenizer = (loader.tokenizer as Tokenizer | undefined) ?? (await openTokenizer(weights));
    return { weights, config: weights.config, tokenizer };
  } catch (error) {
    await weights.close();
    throw error;
  }
}

async function openTokenizer(weights: OpenedWeights): Promise<Tokenizer> {
  const text = await weights.readText('tokenizer.json');
  if (text === undefined && weights.format === 'gguf') return tokenizerFromGguf(weights.metadata);
  if (text === undefined) {
    for (const name of sentencePieceFiles) {
      const bytes = await weights.readBytes(name);
      if (bytes !== undefined) return tokenizerFromSentencePiece(bytes);
    }
    const allowed = `a tokenizer.json, or one of ${sentencePieceFiles.join(', ')}; the loader's \`tokenizer\` says where else it is`;
    throw new ConfigError({ problems: [{ path: 'weightLoader', found: 'no tokenizer beside the weights', allowed }] });
  }
  return tokenizerFromJson(JSON.parse(text), JSON.parse((await weights.readText('tokenizer_config.json')) ?? '{}'));
}

/** The model of a run: abstract variables for every parameter, and which of them are trained. */
export interface ModelPlan {
  /** Every parameter by path, adapters included. */
  readonly variables: ReadonlyMap<string, Variable>;
  readonly base: ReadonlyMap<string, ParamPlan>;
  readonly lora: ReadonlyMap<string, LoraSpec>;
  readonly step: StepModel;
}

/** Frozen parameters stay as published; trained ones are f32. */
export function planModel(
  {
    weights,
    config,
  }: {
    readonly config: ModelConfig;
    readonly weights: { readonly entries: ReadonlyMap<string, Pick<WeightEntry, 'dtype'>> };
  },
  run: ResolvedTrainConfig,
): ModelPlan {
  const isTrained = createTrainableFilter(run);
  const base = new Map<string, ParamPlan>();
  for (const [path, { shape }] of modelParamSpecs(config)) {
    const trained = isTrained(path);
    // What the file lacks is f32: whether it may be missing is the load's to say.
    const dtype = trained ? 'f32' : (weights.entries.get(path)?.dtype ?? 'f32');
    base.set(path, { shape, dtype, category: trained ? 'trainable' : 'weights' });
  }
  const loraOptions = run.lora && {
    rank: run.lora.rank,
    alpha: run.lora.alpha,
    rslora: run.lora.rslora,
    targets: createLoraTargetFilter(run.lora),
  };
  const lora = loraOptions ? loraSpecs(config, loraOptions) : new Map<string, LoraSpec>();
  const plans = new Map(base);
  for (const [path, { shape }] of lora)
    plans.set(path, { shape, dtype: 'f32', category: isTrained(path) ? 'trainable' : 'weights' });
  const linears = [...loraSpecs(config, { rank: 1, alpha: 1 }).values()].map(({ linear }) => linear);
  const problems = findUnmatched(run, { parameters: [...plans.keys()], linears: [...new Set(linears)] });
  if (problems.length > 0) throw new ConfigError({ problems });
  const variables = planVariables(plans);
  const trainedParams = new Map([...variables].filter(([path]) => isTrained(path)));
  if (trainedParams.size === 0)
    throw new ConfigError({
      problems: [
        {
          path: 'trainable',
          found: 'patterns that leave no parameter to train',
          allowed: 'patterns that match something, or lora',
        },
      ],
    });
  const step: StepModel = {
    params: paramTree(variables),
    config,
    trained: planTrained(trainedParams, run.gradientAccumulation > 1),
    options: {
      gradientCheckpointing: run.gradientCheckpointing,
      ...(loraOptions && { loraScale: loraScale(loraOptions) }),
      ...(run.lora && run.lora.dropout > 0 && { loraDropout: run.lora.dropout }),
    },
  };
  return { variables, base, lora, step };
}

/** Takes streamed weights into allocated variables. */
export function createDeviceSink(gpu: Gpu, variables: ReadonlyMap<string, Variable>): WeightSink {
  let sinceWait = 0;
  return {
    write: async (path, offset, bytes) => {
      variables.get(path)!.write(bytes, offset);
      // Uploads are copied by the driver: waiting now and then keeps few of them in memory.
      sinceWait += bytes.byteLength;
      if (sinceWait > 64 * 1024 * 1024) {
        sinceWait = 0;
        await gpu.idle();
      }
    },
  };
}

export interface LoadModelOptions {
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
  /** Goes on meanwhile, and is not waited for; where it fails, loading ends with its error. */
  readonly compiling?: Promise<unknown>;
}

/** Allocates every variable, streams the weights in, and gives adapters their starting values. */
export async function loadModel(
  gpu: Gpu,
  { weights }: OpenModel,
  plan: ModelPlan,
  { seed, allowMissing }: Pick<ResolvedTrainConfig, 'seed' | 'allowMissing'>,
  { onProgress, signal, compiling }: LoadModelOptions = {},
): Promise<LoadReport & { readonly fingerprint: string }> {
  const stop = new AbortController();
  compiling?.catch((error: unknown) => stop.abort(error));
  for (const variable of plan.variables.values()) variable.allocate(gpu);
  for (const { m, v, sum } of plan.step.trained) for (const state of [m, v, sum]) state?.allocate(gpu);
  // A device without the memory says so here, before a byte of weights is fetched.
  await gpu.idle();
  const sink = fingerprintWeights({
    ...createDeviceSink(gpu, plan.variables),
    initialise: (path, { shape, dtype }, firstRow) => {
      const rows = [(shape[0] ?? 1) - firstRow, ...shape.slice(1)];
      const values = initialParam(path, rows, createRandom(seedOf(seed, path)));
      const rowBytes = byteLength(
        dtype,
        shape.slice(1).reduce((a, b) => a * b, 1),
      );
      plan.variables.get(path)!.write(encodeFloats(values, dtype), firstRow * rowBytes);
    },
  });
  const loading = weights.load(plan.base, sink, {
    ...(allowMissing.length > 0 && { allowMissing: joinPathPatterns(allowMissing) }),
    ...(onProgress && { onProgress: (p) => onProgress(p.bytes, p.totalBytes) }),
    signal: signal ? AbortSignal.any([signal, stop.signal]) : stop.signal,
  });
  const report = await loading.catch((error: unknown) => {
    throw stop.signal.aborted ? stop.signal.reason : error;
  });
  for (const [path, spec] of plan.lora)
    plan.variables.get(path)!.write(initialLora(spec, createRandom(seedOf(seed, path))));
  await gpu.idle();
  return { ...report, fingerprint: sink.fingerprint() };
}

/** A seed of its own for every path, whatever else is initialised. */
function seedOf(seed: number, path: string): number {
  return fnv1a(
    [...path].map((character) => character.charCodeAt(0)),
    0x811c9dc5 ^ seed,
  );
}

/** Gives back everything that a model holds on the device. */
export function destroyModel({ variables, step }: ModelPlan): void {
  for (const variable of variables.values()) variable.destroy();
  for (const { m, v, sum } of step.trained) for (const state of [m, v, sum]) state?.destroy();
}
