import { openGpu, type Gpu } from '@lapidary/gpu';

/** The adapter that the benchmark was asked for. */
export function openBenchGpu(): Promise<Gpu> {
  const adapter = process.env.BENCH_ADAPTER;
  const toggles = process.env.DAWN_TOGGLES?.split(',');
  return openGpu({ ...(adapter && { adapter }), ...(toggles && { toggles }) });
}
