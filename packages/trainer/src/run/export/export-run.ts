import { isQuantised } from '@lapidary/kernels';
import type { Model } from '@lapidary/gemma';
import type { Variable } from '@lapidary/tensor';
import {
  bufferSource,
  dequantise,
  hfModelFiles,
  peftAdapterFiles,
  readPeftAdapter,
  withoutSecrets,
  type TensorData,
} from '@lapidary/weights';
import type { LoraConfig, ResolvedTrainConfig } from '../../config/train-config.js';
import type { FileContent, FileStore } from '../../store/file-store.js';
import { resultOf, type ModelPlan } from '../prepare/plan-model.js';
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
  readonly run: Pick<ResolvedTrainConfig, 'lora' | 'weightLoader'>;
  /** Tensors of the adapter, f32, or all of the model, by path. */
  readonly tensors: ReadonlyMap<string, TensorData>;
  /** Told of what the files will lack. */
  readonly onNotice: (message: string) => unknown;
}

/** How a run is exported. */
export interface ExportOptions extends Pick<RunResult, 'onNotice'> {
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

/** What a run on the device ends with; see `exportResult`. */
export function exportRun(
  store: FileStore,
  open: OpenModel,
  plan: ModelPlan,
  options: ExportOptions,
): Promise<string[]> {
  const all = resultOf(plan);
  const paths = options.run.lora ? plan.lora.keys() : all.keys();
  const tensors = new Map([...paths].map((path) => [path, exportedTensor(path, all.get(path)!)]));
  return exportResult(store, { open, tensors, ...options });
}

async function exportAdapter(
  store: FileStore,
  { open: { weights }, run, tensors: stored, onNotice }: RunResult,
  { rank, alpha, rslora, dropout }: LoraConfig,
): Promise<string[]> {
  const { model, format, metadata } = weights;
  const tensors = new Map<string, Float32Array>();
  for (const [path, tensor] of stored) tensors.set(path, dequantise(tensor.dtype, await bytesOf(tensor)));
  const isB = (path: string) => path.endsWith('.lora.b');
  if (![...tensors].some(([path, values]) => isB(path) && values.some((v) => v !== 0))) {
    throw new ExportError('The adapter is still zero: training has changed nothing, so there is nothing to export.');
  }
  const named = baseNameOf(run.weightLoader, weights);
  const baseModel = named === undefined ? undefined : withoutSecrets(named);
  if (baseModel === undefined)
    await onNotice(
      'The adapter names no base model, since the files do not say where it is on the hub: Python must be told what to load it on. ' +
        '`baseModel` of the weight loader (--base-model-name) names it.',
    );
  const files = await peftAdapterFiles({
    model,
    rank,
    alpha,
    rslora,
    dropout,
    tensors,
    ...(baseModel !== undefined && { baseModel }),
    ...(format === 'safetensors' && { baseConfig: metadata }),
  });
  for (const [name, bytes] of Object.entries(files)) await store.write(name, bytes);
  const names = Object.keys(files);
  const written = await Promise.all(names.map(async (name) => bufferSource(name, await store.read(name))));
  await compareAdapter(written, model, tensors);
  return names;
}

/** @throws ExportError where files of an adapter do not hold these tensors */
async function compareAdapter(
  files: Parameters<typeof readPeftAdapter>[0],
  model: Model,
  tensors: ReadonlyMap<string, Float32Array>,
): Promise<void> {
  const again = await readPeftAdapter(files, { model });
  for (const [path, values] of tensors) {
    const found = again.tensors.get(path);
    if (found === undefined || values.some((v, i) => v !== found[i]))
      throw new ExportError(`The written adapter differs from the trained one in '${path}'.`);
  }
}

async function bytesOf({ bytes }: TensorData): Promise<Uint8Array> {
  if (bytes instanceof Uint8Array) return bytes;
  const pieces: Uint8Array[] = [];
  for await (const piece of bytes()) pieces.push(piece);
  return new Uint8Array(await new Blob(pieces as Uint8Array<ArrayBuffer>[]).arrayBuffer());
}

async function exportModel(store: FileStore, { open, tensors, onNotice }: RunResult): Promise<string[]> {
  const { format, metadata, passedOn } = open.weights;
  const base = format === 'safetensors' ? { config: metadata, passedOn } : undefined;
  const files: Record<string, FileContent> = {
    ...hfModelFiles(open.model, tensors, base),
    ...(await filesBeside(open, onNotice)),
  };
  for (const [name, content] of Object.entries(files)) await store.write(name, content);
  return Object.keys(files);
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
