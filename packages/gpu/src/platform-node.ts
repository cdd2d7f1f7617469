import { availableParallelism } from 'node:os';
import { createInstance, loadDawn } from './dawn-node.js';
import { NoAdapterError } from './errors.js';
import { holdDevice } from './live-devices-node.js';
import type { DawnModule, OpenGpuOptions, Platform } from './platform.js';
import { provisionSoftwareAdapter } from './software-node.js';
import { waitForGpu } from './wait-node.js';

const backends: Partial<Record<NodeJS.Platform, string>> = { linux: 'vulkan', darwin: 'metal', win32: 'd3d12' };

/** WebGPU through Dawn: a GPU or system driver first, then SwiftShader from npm when that package is installed. */
export const platform: Platform = {
  async acquireAdapter(options) {
    const dawn = await loadDawn(options.dawn);
    let found = await requestAdapter(dawn, options);
    if (found.adapter === null) {
      const software = await provisionSoftwareAdapter({ onlyAdapter: !options.forceSoftware });
      // A second instance, since the first has already looked for drivers.
      if (software !== undefined) found = await requestAdapter(dawn, options);
      if (found.adapter === null) throw noAdapter(options, found.available, software !== undefined);
    }
    return { adapter: found.adapter, backend: backends[process.platform] ?? 'webgpu', hold: holdDevice };
  },
  processors: availableParallelism,
  wait: waitForGpu,
};

interface Request {
  readonly adapter: GPUAdapter | null;
  /** Dawn's list of adapters, where a name filter matched none. */
  readonly available?: string;
}

async function requestAdapter(dawn: DawnModule, options: OpenGpuOptions): Promise<Request> {
  const { adapter: name, toggles, forceSoftware = false, powerPreference = 'high-performance' } = options;
  const instance = createInstance(dawn, { ...(name !== undefined && { adapter: name }), ...(toggles && { toggles }) });
  try {
    return { adapter: await instance.requestAdapter({ powerPreference, forceFallbackAdapter: forceSoftware }) };
  } catch (error) {
    // With a name filter that matches nothing Dawn throws, and lists what there is.
    const message = String((error as Error).message ?? error);
    if (name === undefined) throw error;
    return { adapter: null, available: [...message.matchAll(/name: '([^']*)'/g)].map((m) => m[1]).join(', ') };
  }
}

function noAdapter(options: OpenGpuOptions, available: string | undefined, provisioned: boolean): NoAdapterError {
  const kind = options.forceSoftware ? 'software adapter' : 'GPU adapter';
  const reason =
    options.adapter !== undefined
      ? `no ${kind} with '${options.adapter}' in its name; found: ${available || 'none'}`
      : `no ${kind} was found${provisioned ? ', nor could SwiftShader from npm be used' : ''}`;
  const advice =
    process.platform === 'linux'
      ? "Install your GPU's Vulkan driver, or to run on the CPU: `apt-get install libvulkan1 mesa-vulkan-drivers` (Debian, Ubuntu; " +
        'other systems name it vulkan-loader and mesa-vulkan), or without root `npm install @sparticuz/chromium@147.0.0` (x64). ' +
        'In a worker thread call `provisionSoftwareAdapter()` of @lapidary/gpu/software-node in the main thread first.'
      : 'Update the graphics driver; a virtual machine needs GPU pass-through.';
  return new NoAdapterError({ reason, advice });
}
