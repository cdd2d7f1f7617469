import { createRequire } from 'node:module';
import { resolve } from 'node:path';

/**
 * WebGPU in Node for libraries made for browsers: its globals, and an instance on the adapter that the benchmark was asked
 * for, kept for as long as the process lives (Dawn crashes when it is collected below a device).
 */
export async function installWebGpu(): Promise<GPU> {
  const file = process.env.DAWN_NODE;
  const dawn = file ? createRequire(import.meta.url)(resolve(file)) : await import('webgpu');
  Object.assign(globalThis, dawn.globals);
  const adapter = process.env.BENCH_ADAPTER;
  const toggles = process.env.DAWN_TOGGLES ?? 'allow_unsafe_apis';
  const gpu: GPU = dawn.create([`enable-dawn-features=${toggles}`, ...(adapter ? [`adapter=${adapter}`] : [])]);
  Object.assign(globalThis, { __dawn: gpu });
  return gpu;
}

/** What `navigator` a library finds. */
export function installNavigator(gpu: unknown): void {
  const value = { gpu, userAgent: 'node', hardwareConcurrency: 2 };
  Object.defineProperty(globalThis, 'navigator', { value, configurable: true, writable: true });
}

/** The adapter, for people. */
export function describe({ vendor, architecture, description, device }: GPUAdapterInfo): {
  device: string;
  isSoftware: boolean;
} {
  const name = [device, description].filter(Boolean).join(': ') || `${vendor} ${architecture}`;
  return { device: name, isSoftware: /swiftshader|llvmpipe|lavapipe/i.test(`${vendor} ${architecture} ${name}`) };
}
