import { platform } from '#platform';
import { NoAdapterError } from './errors.js';
import { Gpu } from './gpu.js';
import type { OpenGpuOptions } from './platform.js';
import { readProfile } from './read-profile.js';

// Features that kernels or timing have a use for; each is taken where the adapter has it.
const usefulFeatures = [
  'shader-f16',
  'subgroups',
  'subgroup-size-control',
  'timestamp-query',
  'chromium-experimental-subgroup-matrix',
];

// Limits that compute work runs into; each is raised to what the adapter gives.
const usefulLimits = [
  'maxBindGroups',
  'maxBindingsPerBindGroup',
  'maxBufferSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ',
  'maxComputeWorkgroupStorageSize',
  'maxComputeWorkgroupsPerDimension',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxUniformBufferBindingSize',
  'minStorageBufferOffsetAlignment',
  'minUniformBufferOffsetAlignment',
] as const;

/**
 * Opens the best WebGPU device of this machine, in Node or a browser, with the highest useful limits and features.
 * `gpu.profile.adapter` says which one it is.
 * @throws WebGpuUnavailableError where there is no WebGPU at all, NoAdapterError (with what to install) where it finds no
 * adapter or none with the features asked for.
 */
export async function openGpu(options: OpenGpuOptions = {}): Promise<Gpu> {
  const { adapter, backend, hold } = await platform.acquireAdapter(options);
  const required = options.requiredFeatures ?? [];
  const missing = required.filter((feature) => !adapter.features.has(feature as GPUFeatureName));
  if (missing.length > 0) {
    throw new NoAdapterError({
      reason: `the adapter '${adapter.info.description || adapter.info.vendor}' lacks the required features ${missing.join(', ')}`,
      advice: `It has: ${[...adapter.features].sort().join(', ')}. Choose another adapter or ask for less.`,
    });
  }
  const wanted = new Set([
    ...usefulFeatures.filter((feature) => adapter.features.has(feature as GPUFeatureName)),
    ...required,
  ]);
  const device = await adapter.requestDevice({
    label: 'lapidary',
    requiredFeatures: [...wanted] as GPUFeatureName[],
    requiredLimits: Object.fromEntries(usefulLimits.map((name) => [name, adapter.limits[name]])),
  });
  hold(device);
  return new Gpu(device, readProfile(device, adapter.info, backend), () => openGpu(options));
}
