import { NoAdapterError, WebGpuUnavailableError } from './errors.js';
import type { Platform } from './platform.js';
import { waitForGpu } from './wait-browser.js';

/** WebGPU of the page or worker this runs in. */
export const platform: Platform = {
  async acquireAdapter({ forceSoftware = false, adapter: wanted, powerPreference = 'high-performance' }) {
    const gpu: GPU | undefined = globalThis.navigator?.gpu;
    if (gpu === undefined) {
      throw new WebGpuUnavailableError(
        globalThis.isSecureContext === false
          ? {
              reason: 'this page is not a secure context, so the browser hides navigator.gpu',
              advice: 'Serve the page over https or from http://localhost.',
            }
          : {
              reason: 'there is no navigator.gpu here',
              advice:
                'Use Chrome or Edge 127 or later, Safari 26 or later, or Firefox 141 or later, and check that WebGPU is not switched off.',
            },
      );
    }
    const adapter = await gpu.requestAdapter({ powerPreference, forceFallbackAdapter: forceSoftware });
    const advice =
      'Update the graphics driver and look at chrome://gpu (about:support in Firefox). On Linux, Chrome may need ' +
      '--enable-unsafe-webgpu, with --use-webgpu-adapter=swiftshader to run on the CPU.';
    if (adapter === null) throw new NoAdapterError({ reason: 'the browser found no WebGPU adapter', advice });
    const { vendor, architecture, device, description } = adapter.info;
    const name = [vendor, architecture, device, description].join(' ');
    if (wanted !== undefined && !name.toLowerCase().includes(wanted.toLowerCase())) {
      throw new NoAdapterError({ reason: `no adapter named '${wanted}'; the browser offers '${name.trim()}'`, advice });
    }
    return { adapter, backend: 'webgpu', hold: () => undefined };
  },
  processors: () => globalThis.navigator.hardwareConcurrency,
  wait: waitForGpu,
};
