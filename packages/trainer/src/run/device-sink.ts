import type { Gpu } from '@lapidary/gpu';
import type { Variable } from '@lapidary/tensor';
import type { WeightSink } from '@lapidary/weights';

/** Bytes that uploads may take on the host before they are waited for: the driver copies each. */
const mostUnsent = 64 * 2 ** 20;

/** Takes streamed weights into allocated variables. */
export function createDeviceSink(gpu: Gpu, variables: ReadonlyMap<string, Variable>): WeightSink {
  let sinceWait = 0;
  return {
    write: async (path, offset, bytes) => {
      variables.get(path)!.write(bytes, offset);
      sinceWait += bytes.byteLength;
      if (sinceWait > mostUnsent) {
        sinceWait = 0;
        await gpu.idle();
      }
    },
  };
}
