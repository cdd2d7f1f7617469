import { DeviceLostError } from './errors.js';

const graceMs = 200;

/** Resolves when the device is lost or destroyed. */
export async function lossOf(device: GPUDevice): Promise<DeviceLostError> {
  const { reason, message } = await device.lost;
  return new DeviceLostError({ reason: reason ?? 'unknown', message });
}

/** What a rejection comes from: a device that goes rejects what was asked of it a moment before it says that it is lost. */
export function causeOf(rejection: unknown, lost: Promise<DeviceLostError>): Promise<unknown> {
  return Promise.race([lost, new Promise((resolve) => setTimeout(() => resolve(rejection), graceMs))]);
}
