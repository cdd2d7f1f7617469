import { describeAdapter } from '@lapidary/gpu';
import { checkKernels } from '@lapidary/kernels';
import { serve } from '../serve.js';
import { runColdStart, startOps } from './cold-start.js';
import { gemmaOps } from './gemma.js';
import { kernelOps } from './kernels.js';
import { modelOps } from './models.js';
import { openBenchGpu } from './open-bench-gpu.js';
import { weightOps } from './weights.js';

const [coldStart] = process.argv.slice(2);
if (coldStart !== undefined) await runColdStart(coldStart);
else
  await serve(async () => {
    const gpu = await openBenchGpu();
    await checkKernels(gpu);
    return {
      name: 'lapidary',
      version: '',
      device: describeAdapter(gpu.profile.adapter),
      isSoftware: gpu.profile.adapter.isSoftware,
      ops: { ...kernelOps(gpu), ...modelOps(gpu), ...gemmaOps(gpu), ...weightOps(gpu), ...startOps },
      gpuBytes: () => gpu.counters.bytes,
    };
  });
