import type { DType } from '@lapidary/kernels';
import { holdsNonFinite, WeightFileError, type OpenedWeights, type WeightSink } from '@lapidary/weights';

/**
 * A sink that passes weights on, and refuses those that are not finite: `dtypeOf` says as what they come.
 * @throws WeightFileError naming the file and the tensor, from `write`
 */
export function finiteSink(
  entries: OpenedWeights['entries'],
  dtypeOf: (path: string) => DType,
  sink: WeightSink,
): WeightSink {
  return {
    ...sink,
    write: (path, byteOffset, bytes) => {
      if (holdsNonFinite(dtypeOf(path), bytes)) {
        const { file = 'the weights', sourceName = path } = entries.get(path) ?? {};
        throw new WeightFileError(
          { file, tensor: sourceName },
          'holds values that are not finite (NaN or infinity). The model cannot compute with them: get the file again, or from somebody whose conversion did not go wrong.',
        );
      }
      return sink.write(path, byteOffset, bytes);
    },
  };
}
