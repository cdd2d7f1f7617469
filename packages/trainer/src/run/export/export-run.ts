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
import { readFinitePieces } from '../read-pieces.js';

/** What was exported is not what was trained. */
export class ExportError extends Error {
  override readonly name = 'ExportError';
}

/**
 * Writes what was trained: a LoRA in PEFT's form, or the whole model in Hugging Face's. The adapter is read back and compared.
 * @returns names of the files written.
 * @throws ExportError
 */
export async function exportRun(
  store: FileStore,
  weights: OpenedWeights,
  plan: ModelPlan,
  run: ResolvedTrainConfig,
): Promise<string[]> {
  return run.lora ? exportAdapter(store, weights, plan, run.lora, run) : exportModel(store, weights, plan);
}

async function exportAdapter(
  store: FileStore,
  { model }: OpenedWeights,
  plan: ModelPlan,
  lora: NonNullable<ResolvedTrainConfig['lora']>,
  run: ResolvedTrainConfig,
): Promise<string[]> {
  const tensors = new Map<string, Float32Array>();
  const result = resultOf(plan);
  for (const path of plan.lora.keys()) tensors.set(path, await result.get(path)!.read());
  const isB = (path: string) => plan.lora.get(path)?.kind === 'b';
  if (![...tensors].some(([path, values]) => isB(path) && values.some((v) => v !== 0))) {
    throw new ExportError('The adapter is still zero: training has changed nothing, so there is nothing to export.');
  }
  const baseModel = run.weightLoader.baseModel ?? run.weightLoader.description;
  const files = await peftAdapterFiles({
    model,
    rank: lora.rank,
    alpha: lora.alpha,
    rslora: lora.rslora,
    dropout: lora.dropout,
    tensors,
    ...(typeof baseModel === 'string' && { baseModel }),
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

async function exportModel(store: FileStore, weights: OpenedWeights, plan: ModelPlan): Promise<string[]> {
  const params = new Map([...resultOf(plan)].map(([path, variable]) => [path, exportedTensor(path, variable)]));
  const files: Record<string, FileContent> = hfModelFiles(weights.model, params);
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
    const text = await weights.readText(name);
    if (text !== undefined) files[name] = text;
  }
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
