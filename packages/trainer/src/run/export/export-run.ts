import { isQuantised } from '@lapidary/kernels';
import type { Model } from '@lapidary/gemma';
import type { Variable } from '@lapidary/tensor';
import {
  type BaseWeights,
  type ByteSource,
  dequantise,
  hfModelFiles,
  holdsNonFinite,
  type OpenedWeights,
  peftAdapterFiles,
  readPeftAdapter,
  withoutSecrets,
  type TensorData,
} from '@lapidary/weights';
import type { LoraConfig, ResolvedTrainConfig } from '../../config/train-config.js';
import { NonFiniteParameterError } from '../../errors/errors.js';
import type { FileContent, FileStore } from '../../store/file-store.js';
import { resultOf, type HostParam, type ModelPlan } from '../prepare/plan-model.js';
import type { OpenModel } from '../prepare/open-model.js';
import { readFinitePieces } from '../read-pieces.js';
import { baseNameOf } from './base-name.js';
import { filesBeside } from './files-beside.js';

/** What was exported is not what was trained, or there is no place for it. */
export class ExportError extends Error {
  override readonly name = 'ExportError';
}

/** What a run ends with, on its way into files. */
export interface RunResult {
  readonly open: OpenModel;
  readonly plan: Pick<ModelPlan, 'lora' | 'updates'>;
  readonly run: Pick<ResolvedTrainConfig, 'lora' | 'weightLoader'>;
  /** Those of `resultPaths`. */
  readonly tensors: ReadonlyMap<string, TensorData>;
  /** Those that an adapter was trained over, where that is known. */
  readonly baseWeights?: BaseWeights | undefined;
  /** Told of what the files will lack. */
  readonly onNotice: (message: string) => unknown;
}

/** How a run is exported. */
export interface ExportOptions extends Pick<RunResult, 'onNotice' | 'baseWeights'> {
  readonly run: ResolvedTrainConfig;
}

/**
 * Writes what was trained: a LoRA in PEFT's form, or the whole model in Hugging Face's, with what else such a folder has. The adapter is read back and compared.
 * @returns names of the files written.
 * @throws ExportError, NonFiniteParameterError
 */
export function exportResult(store: FileStore, result: RunResult): Promise<string[]> {
  const { lora } = result.run;
  return lora ? exportAdapter(store, result, lora) : exportModel(store, result);
}

/** What leaves a run, by path: all of the adapter, or all of the model. */
export function resultPaths({
  base,
  host,
  lora,
  saved,
}: Pick<ModelPlan, 'base' | 'host' | 'lora' | 'saved'>): string[] {
  if (lora.size === 0) return [...base.keys(), ...(host ? [host.spec.path] : [])];
  return [...[...lora].flatMap(([path, { kind }]) => (kind === 'weightNorm' ? [] : path)), ...saved];
}

/** What a run on the device ends with; see `exportResult`. */
export function exportRun(
  store: FileStore,
  open: OpenModel,
  plan: ModelPlan,
  options: ExportOptions,
): Promise<string[]> {
  const all = resultOf(plan);
  const tensorOf = (path: string) =>
    path === plan.host?.spec.path ? hostTensor(plan.host, open.weights) : exportedTensor(path, all.get(path)!);
  const tensors = new Map(resultPaths(plan).map((path) => [path, tensorOf(path)]));
  return exportResult(store, { open, plan, tensors, ...options });
}

async function exportAdapter(
  store: FileStore,
  { open: { weights }, plan: { lora, updates }, run, tensors: stored, baseWeights, onNotice }: RunResult,
  { rslora, dropout }: LoraConfig,
): Promise<string[]> {
  const { model, format, metadata } = weights;
  const { tensors, params } = await splitAdapter(stored, lora);
  const named = baseNameOf(run.weightLoader, weights);
  const baseModel = named === undefined ? undefined : withoutSecrets(named);
  if (baseModel === undefined)
    await onNotice(
      'The adapter names no base model, since the files do not say where it is on the hub: Python must be told what to load it on. ' +
        '`baseModel` of the weight loader (--base-model-name) names it.',
    );
  const files = peftAdapterFiles({
    model,
    updates,
    rslora,
    dropout,
    tensors,
    params,
    ...(baseModel !== undefined && { baseModel }),
    ...(baseWeights && { baseWeights }),
    ...(format === 'safetensors' && { baseConfig: metadata }),
  });
  for (const [name, content] of Object.entries(files)) await store.write(name, content as FileContent);
  const names = Object.keys(files);
  await compareAdapter(await storedSources(store, names), model, { tensors, params });
  return names;
}

/** An adapter's tensors, and parameters that are trained whole. @throws ExportError where nothing was changed */
export async function splitAdapter(
  stored: ReadonlyMap<string, TensorData>,
  lora: ModelPlan['lora'],
): Promise<{ readonly tensors: Map<string, Float32Array>; readonly params: Map<string, TensorData> }> {
  const tensors = new Map<string, Float32Array>();
  const params = new Map<string, TensorData>();
  for (const [path, tensor] of stored) {
    if (lora.has(path)) tensors.set(path, await valuesOf(tensor));
    else params.set(path, tensor);
  }
  const isB = (path: string) => path.endsWith('.lora.b');
  if (params.size === 0 && ![...tensors].some(([path, values]) => isB(path) && values.some((v) => v !== 0)))
    throw new ExportError('The adapter is still zero: training has changed nothing, so there is nothing to export.');
  return { tensors, params };
}

/** Files of a store, read in parts. */
async function storedSources(store: FileStore, names: readonly string[]): Promise<ByteSource[]> {
  const listed = await store.list();
  return listed
    .filter(({ name }) => names.includes(name))
    .map(({ name, bytes: size }) => ({
      name,
      size,
      read: (offset, length) => store.read(name, { start: offset, end: offset + length }),
    }));
}

/** @throws ExportError where files of an adapter do not hold these tensors and parameters */
async function compareAdapter(
  files: readonly ByteSource[],
  model: Model,
  { tensors, params }: { tensors: ReadonlyMap<string, Float32Array>; params: ReadonlyMap<string, TensorData> },
): Promise<void> {
  const again = await readPeftAdapter(files, { model });
  const compare = (path: string, values: Float32Array, found: Float32Array | undefined) => {
    if (found?.length !== values.length || values.some((v, i) => v !== found[i]))
      throw new ExportError(`The written adapter differs from the trained one in '${path}'.`);
  };
  for (const [path, values] of tensors) compare(path, values, again.tensors.get(path));
  for (const [path, tensor] of params) compare(path, await valuesOf(tensor), again.params.get(path));
}

/** All values of a tensor. */
export async function valuesOf({ dtype, bytes }: TensorData): Promise<Float32Array> {
  if (bytes instanceof Uint8Array) return dequantise(dtype, bytes);
  const pieces: Uint8Array[] = [];
  // A piece is only valid until the next.
  for await (const piece of bytes()) pieces.push(piece.slice());
  return dequantise(dtype, new Uint8Array(await new Blob(pieces as Uint8Array<ArrayBuffer>[]).arrayBuffer()));
}

async function exportModel(store: FileStore, { open, tensors, onNotice }: RunResult): Promise<string[]> {
  const { format, metadata, files: further, passedOn } = open.weights;
  const base = format === 'safetensors' ? { config: metadata, files: further, passedOn } : undefined;
  const files: Record<string, FileContent> = {
    ...hfModelFiles(open.model, tensors, base),
    ...(await filesBeside(open, onNotice)),
  };
  for (const [name, content] of Object.entries(files)) await store.write(name, content);
  return Object.keys(files);
}

/** A table that stays in its file on its way into another, piece by piece: as it is, or f32 where it is quantised. */
export function hostTensor({ spec: { path, shape }, dtype: stored }: HostParam, weights: OpenedWeights): TensorData {
  const dtype = isQuantised(stored) ? 'f32' : stored;
  async function* bytes(): AsyncGenerator<Uint8Array> {
    for await (const piece of weights.read(path, dtype)) {
      if (holdsNonFinite(dtype, piece)) throw new NonFiniteParameterError({ path });
      yield piece;
    }
  }
  return { dtype, shape, bytes };
}

/** A parameter on its way into a file, read from the device in pieces: as it is, or f32 where it is quantised. */
function exportedTensor(path: string, variable: Variable): TensorData {
  const { dtype, shape } = variable.type;
  const quantised = isQuantised(dtype);
  async function* bytes(): AsyncGenerator<Uint8Array> {
    for await (const part of readFinitePieces(path, variable))
      yield quantised ? new Uint8Array(dequantise(dtype, part).buffer) : part;
  }
  return { dtype: quantised ? 'f32' : dtype, shape, bytes };
}
