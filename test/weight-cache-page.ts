// What weight-cache-heap.e2e.test.ts runs in its page: weights from a hub into one small buffer of the GPU.
import { gemmaWeightLoader, listCachedWeights } from '@lapidary/weights';

export interface PageLoad {
  readonly seconds: number;
  readonly bytes: number;
  /** Of each parameter, a sum over some of its bytes, weighted by place. */
  readonly sums: Record<string, number>;
  readonly usesGpu: boolean;
  readonly cached: Awaited<ReturnType<typeof listCachedWeights>>;
}

const state = { bytes: 0, totalBytes: 0 };
const bufferBytes = 8 * 2 ** 20;
/** Every byte at a multiple of this counts for a parameter's sum. */
const stride = 509;

async function load(from: string): Promise<PageLoad> {
  const adapter = await navigator.gpu?.requestAdapter();
  const device = await adapter?.requestDevice();
  const buffer = device?.createBuffer({ size: bufferBytes, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST });
  const sums: Record<string, number> = {};
  const started = performance.now();
  const weights = await gemmaWeightLoader({ from, endpoint: location.origin }).open();
  const report = await weights.load(
    weights.entries,
    {
      async write(path, byteOffset, bytes) {
        let sum = sums[path] ?? 0;
        const first = (stride - (byteOffset % stride)) % stride;
        for (let i = first; i < bytes.length; i += stride)
          sum = (sum + (bytes[i] as number) * (((byteOffset + i) % 65521) + 1)) % 2 ** 40;
        sums[path] = sum;
        if (!device || !buffer) return;
        device.queue.writeBuffer(buffer, 0, bytes as Uint8Array<ArrayBuffer>, 0, bytes.length & ~3);
        await device.queue.onSubmittedWorkDone();
      },
    },
    { onProgress: ({ bytes, totalBytes }) => void Object.assign(state, { bytes, totalBytes }) },
  );
  await weights.close();
  const seconds = (performance.now() - started) / 1000;
  buffer?.destroy();
  device?.destroy();
  return { seconds, bytes: report.bytes, sums, usesGpu: device !== undefined, cached: await listCachedWeights() };
}

Object.assign(globalThis, { load, state });
