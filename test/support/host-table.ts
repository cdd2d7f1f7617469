// A model with a table that stays on the host, or with the same one on the device: files with the same bytes.
import { createRandom, initialParam, type ModelFamily } from '@lapidary/gemma';
import {
  bufferSource,
  encodeFloats,
  encodeGguf,
  hfModelFolder,
  modelWeightLoader,
  type ByteSource,
  type TensorData,
} from '@lapidary/weights';
import { quantise } from '../../packages/weights/src/dtype/quantise.js';
import { fixtureSources } from './fixture-sources.js';
import { meanVectors } from './mean-model.js';
import { pebble, type PebbleConfig } from './pebble-family.js';

export interface TableOptions {
  readonly isOnHost: boolean;
  /** Values of a token in each layer. */
  readonly rowWidth?: number;
  readonly dtype?: 'f32' | 'bf16' | 'q8_0' | 'q4_k';
  readonly shardBytes?: number;
  /** Of the table's values. Default 8. */
  readonly seed?: number;
}

const tableConfig = ({ isOnHost, rowWidth = 32 }: TableOptions): PebbleConfig => ({
  family: 'pebble',
  vocabSize: 600,
  hiddenSize: 12,
  rowWidth,
  isOnHost,
});

export const tableModel = (options: TableOptions) => pebble.describe(tableConfig(options));

/** Every parameter, f32 but for the table. */
export function tableTensors(options: TableOptions): Map<string, TensorData> {
  const { dtype = 'bf16', seed = 8 } = options;
  const [ofTable, ofOthers] = [createRandom(seed), createRandom(7)];
  return new Map(
    tableModel(options).params.map((spec): [string, TensorData] => {
      const { path, shape } = spec;
      const random = path === 'rows.weight' ? ofTable : ofOthers;
      const values = initialParam(spec, shape, random);
      if (path !== 'rows.weight' || dtype === 'f32')
        return [path, { dtype: 'f32', shape, bytes: encodeFloats(values, 'f32') }];
      if (dtype === 'bf16') return [path, { dtype, shape, bytes: encodeFloats(values, 'bf16') }];
      return [path, { dtype, shape, bytes: dtype === 'q8_0' ? quantise('q8_0', values) : blocksOf(shape, random) }];
    }),
  );
}

/** q4_K of any quants, with small scales. */
function blocksOf(shape: readonly number[], random: () => number): Uint8Array {
  const bytes = Uint8Array.from({ length: (shape.reduce((a, b) => a * b, 1) / 256) * 144 }, () => random() * 256);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += 144) {
    view.setUint16(at, 0x1400, true); // 2^-10
    view.setUint16(at + 2, 0x1800, true); // 2^-9
  }
  return bytes;
}

const tokenizerFiles = () => fixtureSources('tokenizer/tokenizer.json', 'tokenizer/tokenizer_config.json');

/** Files of the model: safetensors, or a GGUF where the table has blocks. */
export async function tableFiles(options: TableOptions): Promise<ByteSource[]> {
  const model = tableModel(options);
  const tensors = tableTensors(options);
  const isGguf = options.dtype?.startsWith('q') ?? false;
  const files: Record<string, Uint8Array> = {};
  if (isGguf) {
    const names = (path: string) => path.replace('words.', 'token_embd.').replace('layers.', 'blk.');
    const named = new Map([...tensors].map(([path, tensor]) => [names(path), tensor]));
    files['model.gguf'] = await joined(encodeGguf(await model.toGguf!(), named));
  } else {
    const folder = hfModelFolder(model, tensors, { shardBytes: options.shardBytes });
    for (const [name, content] of Object.entries(folder))
      files[name] = content instanceof Uint8Array ? content : await joined(content);
  }
  return [...Object.entries(files).map(([name, bytes]) => bufferSource(name, bytes)), ...(await tokenizerFiles())];
}

export async function joined(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for await (const piece of pieces) parts.push(piece.slice());
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** The family as one whose models turn texts into vectors. */
const vectors: ModelFamily<PebbleConfig> = {
  ...pebble,
  describe: (config) => ({
    ...pebble.describe(config),
    embedding: { sizes: [config.hiddenSize], prompts: {}, embed: meanVectors },
  }),
};

/** A loader of these files. */
export const tableLoader = (from: readonly ByteSource[], { makesVectors = false } = {}) =>
  modelWeightLoader<PebbleConfig>({ from, families: [makesVectors ? vectors : pebble] });

/** A source whose reads are noted: offset and length of each. */
export function watched(source: ByteSource, reads: (readonly [offset: number, length: number])[]): ByteSource {
  return {
    ...source,
    read: (offset, length, signal) => {
      reads.push([offset, length]);
      return source.read(offset, length, signal);
    },
  };
}
