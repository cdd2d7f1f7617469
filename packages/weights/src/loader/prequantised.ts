import type { StoredTensor } from '../container.js';
import { WeightFileError } from '../errors.js';

// Safetensors that another tool has quantised: their tensors are codes and scales, in forms of its own.

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Fields of a config.json that say so, and the tool where the field alone tells. */
const fields: readonly (readonly [field: string, tool?: string])[] = [
  ['quantization_config'],
  ['compression_config', 'compressed-tensors'],
  ['quantization', 'MLX'],
];

/** What `quant_method` calls tools, where people call them otherwise. */
const toolNames: Readonly<Record<string, string>> = {
  gptq: 'GPTQ',
  awq: 'AWQ',
  hqq: 'HQQ',
  fp8: 'an fp8 tool',
  fbgemm_fp8: 'FBGEMM (fp8)',
  quanto: 'Quanto',
  mlx: 'MLX',
};

/** Names, or types, of tensors that only one tool writes. */
const marks: readonly { readonly tool: string; readonly isIt: (tensor: StoredTensor) => boolean }[] = [
  { tool: 'bitsandbytes', isIt: ({ name }) => /\.(quant_state\.bitsandbytes__\w+|absmax|quant_map|SCB)$/.test(name) },
  { tool: 'GPTQ or AWQ', isIt: ({ name }) => /\.(qweight|qzeros|g_idx)$/.test(name) },
  { tool: 'HQQ', isIt: ({ name }) => /\.W_q$/.test(name) },
  { tool: 'compressed-tensors', isIt: ({ name }) => /\.weight_(packed|shape|zero_point)$/.test(name) },
  { tool: 'torchao', isIt: ({ name }) => /(:|_weight_)qdata$/.test(name) },
  { tool: 'Quanto', isIt: ({ name }) => /\.weight\._(data|scale)$/.test(name) },
  { tool: 'an fp8 tool', isIt: ({ type }) => type.startsWith('F8_') },
  { tool: 'MLX', isIt: ({ type, name }) => type === 'U32' && name.endsWith('.weight') },
  { tool: 'another tool', isIt: ({ name }) => /\.weight_scale(_inv)?$/.test(name) },
];

/**
 * @throws WeightFileError where config.json, or the tensors themselves, say that another tool has quantised them. `where` they are from.
 */
export function refusePrequantised(
  config: Readonly<Record<string, unknown>>,
  tensors: ReadonlyMap<string, StoredTensor>,
  where: string,
): void {
  const said = saidTool(config);
  const found = foundTool(tensors);
  const by = said ?? found;
  if (by === undefined) return;
  const problem = `is quantised by ${by.tool} (${by.by}), whose tensors cannot be read here. Use the unquantised repository of the model, or a GGUF of it.`;
  // Merging an adapter leaves the field where the tensors are plain again.
  const isPlain = found === undefined && [...tensors.values()].every(({ type }) => /^(F32|F16|BF16)$/.test(type));
  const hint = isPlain ? ' The tensors look unquantised: if they are, remove the field.' : '';
  throw new WeightFileError({ file: where }, problem + hint);
}

function saidTool(config: Readonly<Record<string, unknown>>): { tool: string; by: string } | undefined {
  // A multimodal file may say it of its decoder.
  for (const [prefix, part] of [['', config] as const, ['text_config.', config['text_config']] as const]) {
    if (!isObject(part)) continue;
    for (const [field, usual] of fields) {
      const value = part[field];
      if (value === undefined || value === null || (isObject(value) && Object.keys(value).length === 0)) continue;
      return { tool: usual ?? methodOf(value), by: `config.json: ${prefix}${field}` };
    }
  }
  return undefined;
}

function methodOf(quantisation: unknown): string {
  if (!isObject(quantisation)) return 'another tool';
  const method = quantisation['quant_method'];
  if (typeof method === 'string') return toolNames[method] ?? method;
  // The first files of bitsandbytes have no quant_method; MLX writes its field under this name too.
  if (quantisation['load_in_4bit'] === true || quantisation['load_in_8bit'] === true) return 'bitsandbytes';
  return 'group_size' in quantisation && 'bits' in quantisation ? 'MLX' : 'another tool';
}

function foundTool(tensors: ReadonlyMap<string, StoredTensor>): { tool: string; by: string } | undefined {
  for (const { tool, isIt } of marks) {
    const found = [...tensors.values()].find(isIt);
    if (found) return { tool, by: `tensor ${found.name}, ${found.type}` };
  }
  return undefined;
}
