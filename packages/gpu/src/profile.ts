/** What an adapter says of itself. Strings are empty where the browser hides them. */
export interface AdapterSummary {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  /** The native API below WebGPU (`vulkan`, `metal`, `d3d12`, …) where known, else `webgpu`. */
  readonly backend: string;
  /** True for adapters that run on the CPU (lavapipe, SwiftShader, WARP). */
  readonly isSoftware: boolean;
}

/** What matrix products keep of f32 values that go in; sums are f32 in any case. */
export type MatmulPrecision = 'float32' | 'float16';

/** The limits that kernels and planners look at. Bytes, invocations or workgroups. */
export interface DeviceLimits {
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
  readonly maxStorageBuffersPerShaderStage: number;
  readonly minStorageBufferOffsetAlignment: number;
  readonly minUniformBufferOffsetAlignment: number;
  readonly maxComputeWorkgroupsPerDimension: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupStorageSize: number;
}

/**
 * Plain data that decides which kernel variants a device gets and how a program is planned. A plan can be made from a
 * profile alone, with no device at hand.
 */
export interface DeviceProfile {
  readonly adapter: AdapterSummary;
  readonly features: ReadonlySet<string>;
  readonly limits: DeviceLimits;
  /** Smallest and largest subgroup; both 0 where the device has no `subgroups` feature. */
  readonly subgroupSize: { readonly min: number; readonly max: number };
  /**
   * Rows, columns and depth of the subgroup matrices (tensor cores) with products of f16 and sums of f32; left out where the device
   * has none, or subgroups of several sizes.
   */
  readonly subgroupMatrix?: { readonly m: number; readonly n: number; readonly k: number };
  /** `float16`: values may lose digits beyond those of f16 (11) on their way into a matrix product. Default: about as exact as f32. */
  readonly matmulPrecision?: MatmulPrecision;
  /** Kernel variants that compute wrong numbers on this device (`attentionForward:workgroup`); kernels choose others. */
  readonly disabledVariants?: ReadonlySet<string>;
  /** Variants found fastest here, by what they compute (`productKey` of @lapidary/kernels); the rest goes by rules. */
  readonly kernelChoices?: ReadonlyMap<string, string>;
}

/**
 * A profile with other kernel choices or another precision of matrix products, for plans that are to use them; `profile` stays as it is.
 * Choices are added to those that it has.
 */
export function deriveProfile(
  profile: DeviceProfile,
  {
    kernelChoices,
    matmulPrecision,
  }: {
    readonly kernelChoices?: Iterable<readonly [key: string, variant: string]>;
    readonly matmulPrecision?: MatmulPrecision;
  },
): DeviceProfile {
  return {
    ...profile,
    ...(kernelChoices && { kernelChoices: new Map([...(profile.kernelChoices ?? []), ...kernelChoices]) }),
    ...(matmulPrecision && { matmulPrecision }),
  };
}

/** The limits every WebGPU implementation guarantees: a profile to plan with when no device is known. */
export const baselineProfile: DeviceProfile = {
  adapter: {
    vendor: '',
    architecture: '',
    device: '',
    description: 'WebGPU baseline',
    backend: 'webgpu',
    isSoftware: false,
  },
  features: new Set(),
  limits: {
    maxBufferSize: 268_435_456,
    maxStorageBufferBindingSize: 134_217_728,
    maxStorageBuffersPerShaderStage: 8,
    minStorageBufferOffsetAlignment: 256,
    minUniformBufferOffsetAlignment: 256,
    maxComputeWorkgroupsPerDimension: 65_535,
    maxComputeInvocationsPerWorkgroup: 256,
    maxComputeWorkgroupStorageSize: 16_384,
  },
  subgroupSize: { min: 0, max: 0 },
};
