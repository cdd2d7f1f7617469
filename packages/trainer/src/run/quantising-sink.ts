import { byteLength, dtypeInfo, type DType } from '@lapidary/kernels';
import {
  dequantise,
  holdsNonFinite,
  isWrittenQuant,
  quantise,
  WeightFileError,
  type OpenedWeights,
  type WeightSink,
} from '@lapidary/weights';

/** As what weights come, and as what they are kept. */
export interface QuantisingOptions {
  readonly entries: OpenedWeights['entries'];
  readonly storedOf: (path: string) => DType;
  readonly keptOf: (path: string) => DType;
}

/**
 * A sink that passes weights on, piece by piece in blocks where they are kept in blocks and do not come so: never more than a piece of a
 * parameter is there in both forms.
 * @throws WeightFileError from `write`, for values that are too large for the scale of a block
 */
export function quantisingSink({ entries, storedOf, keptOf }: QuantisingOptions, sink: WeightSink): WeightSink {
  return {
    ...sink,
    write: (path, byteOffset, bytes) => {
      const [stored, kept] = [storedOf(path), keptOf(path)];
      if (stored === kept || !isWrittenQuant(kept)) return sink.write(path, byteOffset, bytes);
      const blocks = quantise(kept, dequantise(stored, bytes));
      if (holdsNonFinite(kept, blocks)) {
        const { file = 'the weights', sourceName = path } = entries.get(path) ?? {};
        throw new WeightFileError({ file, tensor: sourceName }, `has values that are too large for ${kept}.`);
      }
      return sink.write(path, byteLength(kept, byteOffset / dtypeInfo[stored].blockBytes), blocks);
    },
  };
}
