/// <reference types="@webgpu/types" preserve="true" />
export { canAllocate } from './can-allocate.js';
export * from './errors.js';
export { Gpu, type GpuCounters } from './gpu.js';
export { GpuTimer, type PassTime } from './gpu-timer.js';
export { openGpu } from './open-gpu.js';
export { linkShader, type LinkedShader, type ShaderSpec, type SourcePlace } from './link-shader.js';
export { PipelineCache, pipelineKey, type CompiledPipeline, type PipelineSpec } from './pipelines.js';
export type { DawnModule, OpenGpuOptions } from './platform.js';
export {
  baselineProfile,
  deriveProfile,
  type AdapterSummary,
  type DeviceLimits,
  type DeviceProfile,
  type MatmulPrecision,
} from './profile.js';
export { describeAdapter, readProfile } from './read-profile.js';
