import { afterEach, expect, it, vi } from 'vitest';
import { NoAdapterError, WebGpuUnavailableError } from './index.js';
import { platform } from './platform-browser.js';

afterEach(() => vi.unstubAllGlobals());

it('says what to do where there is no WebGPU', async () => {
  vi.stubGlobal('navigator', {});
  const failed = platform.acquireAdapter({});
  await expect(failed).rejects.toThrow(WebGpuUnavailableError);
  await expect(failed).rejects.toThrow(/no navigator\.gpu.*Chrome or Edge 127/);
});

it('says so when the page is not a secure context', async () => {
  vi.stubGlobal('navigator', {});
  vi.stubGlobal('isSecureContext', false);
  await expect(platform.acquireAdapter({})).rejects.toThrow(/https or from http:\/\/localhost/);
});

it('says what to do where there is no adapter', async () => {
  vi.stubGlobal('navigator', { gpu: { requestAdapter: async () => null } });
  const failed = platform.acquireAdapter({});
  await expect(failed).rejects.toThrow(NoAdapterError);
  await expect(failed).rejects.toThrow(/chrome:\/\/gpu/);
});
