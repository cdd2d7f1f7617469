import { byteLength, dtypeInfo, isQuantised } from '@lapidary/kernels';
import type { Variable } from '@lapidary/tensor';
import {
  bufferSource,
  dequantise,
  hfModelFiles,
  peftAdapterFiles,
  readPeftAdapter,
  type TensorData,
} from '@lapidary/weights';
import type { ResolvedTrainConfig } from '../config/train-config.js';
import type { FileContent, FileStore } from '../store/file-store.js';
import type { ModelPlan, OpenModel } from './setup-model.js';

/** What was exported is not what was trained. */
export class ExportError extends Error {
  override readonly name = 'ExportError';
}

const moduleNames: Readonly<Record<string, string>> = {
  qProj: 'q_proj',
  kProj: 'k_proj',
  vProj: 'v_proj',
  oProj: 'o_proj',
  gateProj: 'gate_proj',
  upProj: 'up_proj',
  downProj: 'down_proj',
  outProj: 'out_proj',
  fc1: 'fc1',
  fc2: 'fc2',
  projector: 'linear',
};

/**
 * Writes what was trained: a LoRA in PEFT's form, or the whole model in Hugging Face's. The adapter is read back and compared.
 * @returns names of the files written.
 * @throws ExportError
 */
export async function exportRun(
  store: FileStore,
  open: OpenModel,
  plan: ModelPlan,
  run: ResolvedTrainConfig,
): Promise<string[]> {
  return run.lora ? exportAdapter(store, open, plan, run.lora, run) : exportModel(store, open, plan);
}

async function exportAdapter(
  store: FileStore,
  { config }: OpenModel,
  plan: ModelPlan,
  lora: NonNullable<ResolvedTrainConfig['lora']>,
  run: ResolvedTrainConfig,
): Promise<string[]> {
  const tensors = new Map<string, Float32Array>();
  for (const path of plan.lora.keys()) tensors.set(path, await plan.variables.get(path)!.read());
  if (![...tensors].some(([path, values]) => path.endsWith('.b') && values.some((v) => v !== 0))) {
    throw new ExportError('The adapter is still zero: training has changed nothing, so there is nothing to export.');
  }
  const targets = [...new Set([...plan.lora.values()].map(({ linear }) => moduleNames[linear.split('.').at(-1)!]!))];
  const baseModel = run.weightLoader.baseModel ?? run.weightLoader.description;
  const files = await peftAdapterFiles({
    config,
    rank: lora.rank,
    alpha: lora.alpha,
    rslora: lora.rslora,
    dropout: lora.dropout,
    targets,
    tensors,
    ...(typeof baseModel === 'string' && { baseModel }),
  });
  for (const [name, bytes] of Object.entries(files)) await store.write(name, bytes);
  const names = Object.keys(files);
  const written = await Promise.all(names.map(async (name) => bufferSource(name, await store.read(name))));
  const again = await readPeftAdapter(written, { config });
  for (const [path, values] of tensors) {
    const found = again.tensors.get(path);
    if (found === undefined || values.some((v, i) => v !== found[i]))
      throw new ExportError(`The written adapter differs from the trained one in '${path}'.`);
  }
  return names;
}

async function exportModel(store: FileStore, { config, weights }: OpenModel, plan: ModelPlan): Promise<string[]> {
  const params = new Map([...plan.variables].map(([path, variable]) => [path, exportedTensor(variable)]));
  const files: Record<string, FileContent> = hfModelFiles(config, params);
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
    const text = await weights.readText(name);
    if (text !== undefined) files[name] = text;
  }
  for (const [name, content] of Object.entries(files)) await store.write(name, content);
  return Object.keys(files);
}

/** A parameter on its way into a file, read from the device in pieces: as it is, or f32 where it is quantised. */
function exportedTensor(variable: Variable): TensorData {
  const { dtype, shape } = variable.type;
  const quantised = isQuantised(dtype);
  // Whole blocks of every type, and a multiple of 4 bytes.
  const piece = dtypeInfo[dtype].blockBytes * 128 * 1024;
  const total = byteLength(dtype, variable.tensor.size);
  async function* bytes(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < total; at += piece) {
      const count = Math.min(piece, total - at);
      const part = (await variable.readBytes(at, Math.ceil(count / 4) * 4)).subarray(0, count);
      yield quantised ? new Uint8Array(dequantise(dtype, part).buffer) : part;
    }
  }
  return { dtype: quantised ? 'f32' : dtype, shape, bytes };
}
