import { isQuantised } from '@lapidary/kernels';
import type { Variable } from '@lapidary/tensor';
import {
  bufferSource,
  dequantise,
  hfModelFiles,
  peftAdapterFiles,
  readPeftAdapter,
  type OpenedWeights,
  type TensorData,
} from '@lapidary/weights';
import type { ResolvedTrainConfig } from '../../config/train-config.js';
import type { FileContent, FileStore } from '../../store/file-store.js';
import { resultOf, type ModelPlan } from '../prepare/plan-model.js';
import { readPieces } from '../read-pieces.js';
import type { OpenModel } from '../prepare/open-model.js';
import { baseNameOf } from './base-name.js';
import { filesBeside } from './files-beside.js';

/** What was exported is not what was trained. */
export class ExportError extends Error {
  override readonly name = 'ExportError';
}

/** How a run is exported. */
export interface ExportOptions {
  readonly run: ResolvedTrainConfig;
  /** Told of what the files will lack. */
  readonly onNotice: (message: string) => unknown;
}

/**
 * Writes what was trained: a LoRA in PEFT's form, or the whole model in Hugging Face's, with what else such a folder has. The adapter is read back and compared.
 * @returns names of the files written.
 * @throws ExportError
 */
export async function exportRun(
  store: FileStore,
  open: OpenModel,
  plan: ModelPlan,
  options: ExportOptions,
): Promise<string[]> {
  const { lora } = options.run;
  return lora ? exportAdapter(store, open.weights, plan, lora, options) : exportModel(store, open, plan, options);
}

async function exportAdapter(
  store: FileStore,
  weights: OpenedWeights,
  plan: ModelPlan,
  lora: NonNullable<ResolvedTrainConfig['lora']>,
  { run, onNotice }: ExportOptions,
): Promise<string[]> {
  const { model, format, metadata } = weights;
  const tensors = new Map<string, Float32Array>();
  const result = resultOf(plan);
  for (const path of plan.lora.keys()) tensors.set(path, await result.get(path)!.read());
  const isB = (path: string) => plan.lora.get(path)?.kind === 'b';
  if (![...tensors].some(([path, values]) => isB(path) && values.some((v) => v !== 0))) {
    throw new ExportError('The adapter is still zero: training has changed nothing, so there is nothing to export.');
  }
  const baseModel = baseNameOf(run.weightLoader, weights);
  if (baseModel === undefined)
    await onNotice(
      'The adapter names no base model, since the files do not say where it is on the hub: Python must be told what to load it on. ' +
        '`baseModel` of the weight loader (--base-model-name) names it.',
    );
  const files = await peftAdapterFiles({
    model,
    rank: lora.rank,
    alpha: lora.alpha,
    rslora: lora.rslora,
    dropout: lora.dropout,
    tensors,
    ...(baseModel !== undefined && { baseModel }),
    ...(format === 'safetensors' && { baseConfig: metadata }),
  });
  for (const [name, bytes] of Object.entries(files)) await store.write(name, bytes);
  const names = Object.keys(files);
  const written = await Promise.all(names.map(async (name) => bufferSource(name, await store.read(name))));
  const again = await readPeftAdapter(written, { model });
  for (const [path, values] of tensors) {
    const found = again.tensors.get(path);
    if (found === undefined || values.some((v, i) => v !== found[i]))
      throw new ExportError(`The written adapter differs from the trained one in '${path}'.`);
  }
  return names;
}

async function exportModel(
  store: FileStore,
  open: OpenModel,
  plan: ModelPlan,
  { onNotice }: ExportOptions,
): Promise<string[]> {
  const { format, metadata, passedOn } = open.weights;
  const base = format === 'safetensors' ? { config: metadata, passedOn } : undefined;
  const params = new Map([...resultOf(plan)].map(([path, variable]) => [path, exportedTensor(variable)]));
  const files: Record<string, FileContent> = {
    ...hfModelFiles(open.model, params, base),
    ...(await filesBeside(open, onNotice)),
  };
  for (const [name, content] of Object.entries(files)) await store.write(name, content);
  return Object.keys(files);
}

/** A parameter on its way into a file, read from the device in pieces: as it is, or f32 where it is quantised. */
function exportedTensor(variable: Variable): TensorData {
  const { dtype, shape } = variable.type;
  const quantised = isQuantised(dtype);
  async function* bytes(): AsyncGenerator<Uint8Array> {
    for await (const part of readPieces(variable))
      yield quantised ? new Uint8Array(dequantise(dtype, part).buffer) : part;
  }
  return { dtype: quantised ? 'f32' : dtype, shape, bytes };
}
