import { describeAdapter, openGpu, type Gpu } from '@lapidary/gpu';
import type { ModelPresetName } from '@lapidary/gemma';
import { estimateRelease, measureSpeed, type DeviceSpeed, type ReleaseEstimate } from '@lapidary/trainer';

/** What a device is fast with, and what that lets expect. */
export interface DeviceMeasure {
  readonly device: string;
  /** It is the CPU, by way of software: a GPU is another matter. */
  readonly isSoftware: boolean;
  readonly speed: DeviceSpeed;
  readonly estimates: readonly ReleaseEstimate[];
  /** Models that could not be planned here, and why. */
  readonly without: readonly { readonly model: ModelPresetName; readonly reason: string }[];
}

/** Measures the best device there is, and estimates released models on it. @throws what the device throws; AbortError by the signal */
export async function measureDevice(
  models: readonly ModelPresetName[],
  { open = openGpu, signal }: { readonly open?: () => Promise<Gpu>; readonly signal?: AbortSignal } = {},
): Promise<DeviceMeasure> {
  const gpu = await open();
  try {
    const { adapter } = gpu.profile;
    const speed = await measureSpeed(gpu, signal ? { signal } : {});
    const estimates: ReleaseEstimate[] = [];
    const without: { model: ModelPresetName; reason: string }[] = [];
    for (const model of models) {
      signal?.throwIfAborted();
      try {
        estimates.push(estimateRelease(model, gpu.profile, speed));
      } catch (error) {
        without.push({ model, reason: (error as Error).message });
      }
    }
    return { device: describeAdapter(adapter), isSoftware: adapter.isSoftware, speed, estimates, without };
  } finally {
    gpu.destroy();
  }
}
