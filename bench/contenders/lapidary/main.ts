import { describeAdapter, openGpu } from '@lapidary/gpu';
import { checkKernels } from '@lapidary/kernels';
import { serve } from '../serve.js';
import { gemmaOps } from './gemma.js';
import { kernelOps } from './kernels.js';
import { modelOps } from './models.js';
import { weightOps } from './weights.js';

await serve(async () => {
  const adapter = process.env.BENCH_ADAPTER;
  const toggles = process.env.DAWN_TOGGLES?.split(',');
  const gpu = await openGpu({ ...(adapter && { adapter }), ...(toggles && { toggles }) });
  await checkKernels(gpu);
  return {
    name: 'lapidary',
    version: '',
    device: describeAdapter(gpu.profile.adapter),
    isSoftware: gpu.profile.adapter.isSoftware,
    ops: { ...kernelOps(gpu), ...modelOps(gpu), ...gemmaOps(gpu), ...weightOps(gpu) },
    gpuBytes: () => gpu.counters.bytes,
  };
});
