import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { WebGpuUnavailableError } from './errors.js';
import { keepInstance } from './live-devices-node.js';
import type { DawnModule } from './platform.js';

// f16 on NVIDIA and subgroup matrices (tensor cores) are hidden behind these; elsewhere they change nothing.
const enabledToggles = ['allow_unsafe_apis', 'vulkan_enable_f16_on_nvidia', 'use_vulkan_memory_model'];
// Dawn rounds GPU timestamps to 0.1 ms as a browser must; a kernel may take less.
const disabledToggles = ['timestamp_quantization'];

/**
 * Dawn from `dawn`, `$DAWN_NODE` or the npm package `webgpu`, in this order; its classes and constants become globals.
 * @throws WebGpuUnavailableError when it cannot be loaded.
 */
export async function loadDawn(dawn: string | DawnModule | undefined): Promise<DawnModule> {
  const from = dawn ?? (process.env.DAWN_NODE || undefined);
  let module: DawnModule;
  try {
    if (typeof from === 'object') module = from;
    else if (typeof from === 'string') module = createRequire(import.meta.url)(resolve(from)) as DawnModule;
    else module = (await import('webgpu')) as DawnModule;
  } catch (cause) {
    const source = typeof from === 'string' ? from : "the npm package 'webgpu'";
    throw new WebGpuUnavailableError(
      {
        reason: `Dawn could not be loaded from ${source} on ${process.platform}-${process.arch}: ${(cause as Error).message}`,
        advice:
          'Install the npm package webgpu@0.6.2 (Linux x64/arm64, macOS, Windows), or point DAWN_NODE at a dawn.node file.',
      },
      { cause },
    );
  }
  for (const [name, value] of Object.entries(module.globals)) {
    if (!(name in globalThis)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  return module;
}

/** A Dawn instance that outlives every device opened through it. `toggles` as in OpenGpuOptions. */
export function createInstance(
  dawn: DawnModule,
  { adapter, toggles = [] }: { adapter?: string; toggles?: readonly string[] },
): GPU {
  const off = toggles.filter((t) => t.startsWith('-')).map((t) => t.slice(1));
  const enable = [...enabledToggles, ...toggles.filter((t) => !t.startsWith('-'))].filter((t) => !off.includes(t));
  const disable = [...disabledToggles, ...off].filter((t) => !toggles.includes(t));
  const flags: string[] = [];
  if (enable.length > 0) flags.push(`enable-dawn-features=${enable.join(',')}`);
  if (disable.length > 0) flags.push(`disable-dawn-features=${disable.join(',')}`);
  if (adapter !== undefined) flags.push(`adapter=${adapter}`);
  const instance = dawn.create(flags);
  keepInstance(instance);
  return instance;
}
