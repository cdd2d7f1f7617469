import type { AdapterSummary, DeviceLimits, DeviceProfile } from './profile.js';

// Browsers say 'swiftshader'; lavapipe calls itself 'llvmpipe' and its architecture 'software'; WARP is 'Basic Render Driver'.
const softwareNames = /swiftshader|llvmpipe|lavapipe|basic render|\bwarp\b/i;

/** What an open device can do, as plain data. */
export function readProfile(device: GPUDevice, info: GPUAdapterInfo, backend: string): DeviceProfile {
  const { vendor, architecture, description } = info;
  const names = [vendor, architecture, info.device, description].join(' ');
  const isSoftware = info.isFallbackAdapter === true || softwareNames.test(names);
  const features = new Set<string>(device.features);
  const limits: DeviceLimits = {
    maxBufferSize: device.limits.maxBufferSize,
    maxStorageBufferBindingSize: device.limits.maxStorageBufferBindingSize,
    maxStorageBuffersPerShaderStage: device.limits.maxStorageBuffersPerShaderStage,
    minStorageBufferOffsetAlignment: device.limits.minStorageBufferOffsetAlignment,
    minUniformBufferOffsetAlignment: device.limits.minUniformBufferOffsetAlignment,
    maxComputeWorkgroupsPerDimension: device.limits.maxComputeWorkgroupsPerDimension,
    maxComputeInvocationsPerWorkgroup: device.limits.maxComputeInvocationsPerWorkgroup,
    maxComputeWorkgroupStorageSize: device.limits.maxComputeWorkgroupStorageSize,
  };
  const subgroups = features.has('subgroups');
  const subgroupMatrix = subgroupMatrixOf(features, info);
  return {
    adapter: { vendor, architecture, device: info.device, description, backend, isSoftware },
    features,
    limits,
    // Browsers that hide the sizes report none: WGSL guarantees 4 to 128.
    subgroupSize: subgroups ? { min: info.subgroupMinSize || 4, max: info.subgroupMaxSize || 128 } : { min: 0, max: 0 },
    ...(subgroupMatrix && { subgroupMatrix }),
  };
}

/** Of Dawn, where the experimental feature is on; not in @webgpu/types. Fields must be named: the objects have no own ones. */
interface SubgroupMatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** The largest matrices with products of f16 and sums of f32. */
function subgroupMatrixOf(features: ReadonlySet<string>, info: GPUAdapterInfo): DeviceProfile['subgroupMatrix'] {
  const needed = ['chromium-experimental-subgroup-matrix', 'shader-f16', 'subgroups'];
  // A shader must know how many subgroups a workgroup has.
  const oneSize = (info.subgroupMinSize ?? 0) > 0 && info.subgroupMinSize === info.subgroupMaxSize;
  if (!oneSize || !needed.every((feature) => features.has(feature))) return undefined;
  const { subgroupMatrixConfigs = [] } = info as { subgroupMatrixConfigs?: readonly SubgroupMatrixConfig[] };
  const [largest] = [...subgroupMatrixConfigs]
    .filter((config) => config.componentType === 'f16' && config.resultComponentType === 'f32')
    .sort((a, b) => b.M * b.N * b.K - a.M * a.N * a.K);
  return largest && { m: largest.M, n: largest.N, k: largest.K };
}

/** One line for people: which adapter runs, e.g. `llvmpipe (LLVM 15.0.6, 256 bits), vulkan, on the CPU`. */
export function describeAdapter(adapter: AdapterSummary): string {
  const name =
    adapter.description ||
    adapter.device ||
    [adapter.vendor, adapter.architecture].filter(Boolean).join(' ') ||
    'unnamed device';
  return `${name}, ${adapter.backend}, ${adapter.isSoftware ? 'on the CPU' : 'on a GPU'}`;
}
