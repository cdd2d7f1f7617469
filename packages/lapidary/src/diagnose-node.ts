import { mkdir, rm, statfs, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { describeAdapter, openGpu, type Gpu } from '@lapidary/gpu';
import { checkKernels } from '@lapidary/kernels';
import { formatBytes } from '@lapidary/trainer';
import { machineMemory } from '@lapidary/trainer/node';
import type { Finding } from './engine.js';
import { hubToken } from './hub-token-node.js';

/** Where the machine is looked at: tests put others in the place of these. */
export interface Surroundings {
  readonly nodeVersion?: string;
  readonly openGpu?: () => Promise<Gpu>;
  /** Where downloads and measurements are kept. */
  readonly cacheFolder?: string;
  readonly hub?: string;
  readonly token?: string | undefined;
  readonly signal?: AbortSignal;
}

/** As package.json's `engines` says. */
const oldestNode = [20, 3] as const;
/** A small model with a cache of downloads and checkpoints. */
const littleDisk = 5 * 2 ** 30;
const littleMemory = 2 * 2 ** 30;

/** What this machine has for training, in the order in which it is needed. */
export async function diagnose(around: Surroundings = {}): Promise<Finding[]> {
  const { nodeVersion = process.versions.node, hub = 'https://huggingface.co' } = around;
  const token = 'token' in around ? around.token : hubToken();
  const cache = around.cacheFolder ?? join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'lapidary');
  return [
    nodeFinding(nodeVersion),
    ...(await deviceFindings(around.openGpu ?? openGpu)),
    memoryFinding(),
    await cacheFinding(cache),
    await hubFinding(hub, around.signal),
    {
      name: 'Access token',
      state: 'fine',
      found:
        token === undefined ? 'none: models behind a licence, such as Gemma, cannot be downloaded' : 'there is one',
      advice:
        token === undefined ? "To download Gemma, accept its licence on the model's page and set HF_TOKEN." : null,
    },
  ];
}

function nodeFinding(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isNew = major > oldestNode[0] || (major === oldestNode[0] && minor >= oldestNode[1]);
  return {
    name: 'Node',
    state: isNew ? 'fine' : 'broken',
    found: version,
    advice: isNew ? null : `Install Node ${oldestNode.join('.')} or later.`,
  };
}

async function deviceFindings(open: () => Promise<Gpu>): Promise<Finding[]> {
  let gpu: Gpu;
  try {
    gpu = await open();
  } catch (error) {
    const { message, advice = null, reason = message } = error as Error & { advice?: string; reason?: string };
    return [{ name: 'Device', state: 'broken', found: `none: ${reason}`, advice }];
  }
  try {
    const { adapter, features, limits, subgroupSize, subgroupMatrix: matrix } = gpu.profile;
    const sizes =
      subgroupSize.min === subgroupSize.max ? subgroupSize.min : `${subgroupSize.min} to ${subgroupSize.max}`;
    const has = [
      features.has('shader-f16') ? 'f16' : 'no f16',
      subgroupSize.max > 0 ? `subgroups of ${sizes}` : 'no subgroups',
      matrix ? `subgroup matrices ${matrix.m}×${matrix.n}×${matrix.k}` : 'no subgroup matrices',
      features.has('timestamp-query') ? 'timestamps' : 'no timestamps',
    ];
    return [
      {
        name: 'Device',
        state: adapter.isSoftware ? 'slow' : 'fine',
        found: `${describeAdapter(adapter)}${adapter.vendor ? ` (${adapter.vendor})` : ''}`,
        advice: adapter.isSoftware
          ? 'Everything works, on the CPU: slowly. If there is a GPU, install its Vulkan driver.'
          : null,
      },
      { name: 'Features', state: 'fine', found: has.join(', '), advice: null },
      {
        name: 'Limits',
        state: 'fine',
        found: `buffers of ${formatBytes(limits.maxBufferSize)}, bindings of ${formatBytes(limits.maxStorageBufferBindingSize)}, ${limits.maxComputeInvocationsPerWorkgroup} invocations and ${formatBytes(limits.maxComputeWorkgroupStorageSize)} a workgroup`,
        advice: null,
      },
      await kernelFinding(gpu),
    ];
  } finally {
    gpu.destroy();
  }
}

/** Small cases with known results, on adapters of the CPU too. */
async function kernelFinding(gpu: Gpu): Promise<Finding> {
  try {
    const { passed, disabled } = await checkKernels(gpu, { force: true, notice: () => undefined });
    return {
      name: 'Kernels',
      state: disabled.length > 0 ? 'slow' : 'fine',
      found: `${passed.length} kernels compute what they should${disabled.length > 0 ? `; out of use: ${disabled.map(({ variantId }) => variantId).join(', ')}` : ''}`,
      advice: disabled.length > 0 ? 'Others are used in their place. Update the graphics driver.' : null,
    };
  } catch (error) {
    return { name: 'Kernels', state: 'broken', found: (error as Error).message, advice: 'Update the graphics driver.' };
  }
}

function memoryFinding(): Finding {
  const memory = machineMemory();
  if (memory === null) return { name: 'Memory', state: 'fine', found: 'not known', advice: null };
  const isLittle = memory.free < littleMemory;
  return {
    name: 'Memory',
    state: isLittle ? 'slow' : 'fine',
    found: `${formatBytes(memory.free)} free of ${formatBytes(memory.total)}`,
    advice: isLittle
      ? 'Close other programs, or take a quantised base model; `lapidary plan` says what a run takes.'
      : null,
  };
}

async function cacheFinding(folder: string): Promise<Finding> {
  const name = 'Cache folder';
  try {
    await mkdir(folder, { recursive: true });
    const probe = join(folder, `.probe-${process.pid}`);
    await writeFile(probe, '');
    await rm(probe);
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    return {
      name,
      state: free < littleDisk ? 'slow' : 'fine',
      found: `${folder}, ${formatBytes(free)} free`,
      advice:
        free < littleDisk ? 'Downloads may not fit: free some, or set XDG_CACHE_HOME to a folder elsewhere.' : null,
    };
  } catch (error) {
    return {
      name,
      state: 'slow',
      found: `${folder} cannot be written: ${(error as Error).message}`,
      advice: 'Set XDG_CACHE_HOME to a folder that can be: models of the hub are kept there.',
    };
  }
}

async function hubFinding(hub: string, signal?: AbortSignal): Promise<Finding> {
  const name = 'Hub';
  const patience = AbortSignal.timeout(10_000);
  try {
    const { ok, status } = await fetch(hub, {
      method: 'HEAD',
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
    });
    if (ok) return { name, state: 'fine', found: `${hub} answers`, advice: null };
    throw new Error(`it answers ${status}`);
  } catch (error) {
    signal?.throwIfAborted();
    const { message, cause } = error as Error;
    return {
      name,
      state: 'slow',
      found: `${hub} cannot be reached: ${cause instanceof Error ? cause.message : message}`,
      advice: 'Models and data that are on this machine work; for others look at the network or its proxy.',
    };
  }
}
