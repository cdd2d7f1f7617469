// Prints the adapter that `openGpu()` opens here, or nothing (and why, on stderr).
import { describeAdapter, openGpu } from '../packages/gpu/src/index.js';

try {
  const gpu = await openGpu();
  console.log(describeAdapter(gpu.profile.adapter));
  gpu.destroy();
} catch (error) {
  console.error((error as Error).message);
}
