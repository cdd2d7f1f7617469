import type { Gpu } from '@lapidary/gpu';
import { attentionBackward, attentionBackwardWorkspaceBytes } from '../attention/attention-backward.js';
import { attentionForward, attentionWorkspaceBytes } from '../attention/attention-forward.js';
import type { AttentionRule, AttentionShape, AttentionVariant } from '../attention/attention-plan.js';
import type { KernelCall } from '../kernel-call.js';
import type { AttentionInput } from '../reference/attention.js';
import { runKernels } from '../run-kernels.js';
import { emptyOutput, randomArray, readF32, seededRandom, upload } from './test-gpu.js';

/** `texts`: as `full`, with padding behind rows. `pictures`: causal, with runs of tokens that see each other in both directions. */
export type Mask = 'causal' | 'full' | 'prefix' | 'padding' | 'documents' | 'texts' | 'pictures';

/** Records (segment, block, position, 0) of `tokens` tokens a batch row, the first of them at `offset`. */
export function records(mask: Mask, batch: number, tokens: number, offset = 0, seed = 1): Int32Array {
  const random = seededRandom(seed);
  const info = new Int32Array(batch * tokens * 4);
  for (let b = 0; b < batch; b++) {
    const prefix = Math.floor(random() * tokens);
    const real = Math.ceil(random() * tokens);
    let segment = 1;
    let position = offset;
    let picture: number | null = null;
    for (let t = 0; t < tokens; t++) {
      if (mask === 'documents' && t > 0 && random() < 0.2) {
        segment++;
        position = 0;
      }
      const seesAll = mask === 'full' || mask === 'texts';
      if (mask === 'pictures' && random() < 0.3) picture = picture === null ? position : null;
      const block = seesAll ? 0 : mask === 'prefix' ? Math.max(0, t - prefix) : (picture ?? t + offset);
      const isPadded = mask === 'padding' || mask === 'texts';
      info.set([isPadded && t >= real ? 0 : segment, block, position, 0], (b * tokens + t) * 4);
      position++;
    }
  }
  return info;
}

export interface AttentionCase extends AttentionShape, AttentionRule {
  readonly mask: Mask;
  readonly seed?: number;
  /** Values of q and k lie in ±this; default 1. */
  readonly spread?: number;
}

/** Seeded inputs; where there are more keys than queries, the queries are the last tokens. */
export function makeInput(
  c: AttentionCase,
): AttentionInput & { q: Float32Array; k: Float32Array; v: Float32Array; qInfo: Int32Array; kInfo: Int32Array } {
  const seed = c.seed ?? 1;
  const kvSize = c.batch * c.keys * c.kvHeads * c.headDim;
  const kInfo = records(c.mask, c.batch, c.keys, 0, seed);
  const qInfo = new Int32Array(c.batch * c.queries * 4);
  for (let b = 0; b < c.batch; b++) {
    qInfo.set(kInfo.subarray((b * c.keys + c.keys - c.queries) * 4, (b + 1) * c.keys * 4), b * c.queries * 4);
  }
  return {
    ...c,
    q: randomArray(c.batch * c.queries * c.heads * c.headDim, seed, c.spread),
    k: randomArray(kvSize, seed + 1, c.spread),
    v: randomArray(kvSize, seed + 2),
    qInfo,
    kInfo,
  };
}

type ShaderInput = ReturnType<typeof makeInput>;

/** Runs the forward kernels; outputs start as NaN. */
export async function gpuForward(
  gpu: Gpu,
  a: ShaderInput,
  options: { variant?: AttentionVariant; profile?: Gpu['profile']; split?: boolean } = {},
): Promise<{ out: Float32Array; lse: Float32Array; calls: KernelCall<GPUBuffer>[] }> {
  const profile = options.profile ?? gpu.profile;
  const rows = a.batch * a.queries * a.heads;
  const out = emptyOutput(gpu, rows * a.headDim);
  const lse = emptyOutput(gpu, rows);
  const bytes = attentionWorkspaceBytes(profile, a, options.variant);
  const calls = attentionForward(profile, {
    ...a,
    q: upload(gpu, a.q),
    k: upload(gpu, a.k),
    v: upload(gpu, a.v),
    qInfo: upload(gpu, a.qInfo, 'i32'),
    kInfo: upload(gpu, a.kInfo, 'i32'),
    out,
    lse,
    ...(options.split !== false && bytes > 0 && { workspace: emptyOutput(gpu, bytes / 4) }),
    ...(options.variant && { variant: options.variant }),
  });
  await runKernels(gpu, calls);
  return { out: await readF32(gpu, out, rows * a.headDim), lse: await readF32(gpu, lse, rows), calls };
}

/** Runs the backward kernels on given `out` and `lse`. */
export async function gpuBackward(
  gpu: Gpu,
  a: ShaderInput,
  forward: { out: Float32Array; lse: Float32Array },
  dOut: Float32Array,
  options: { variant?: AttentionVariant; profile?: Gpu['profile'] } = {},
): Promise<{ dq: Float32Array; dk: Float32Array; dv: Float32Array; calls: KernelCall<GPUBuffer>[] }> {
  const dq = emptyOutput(gpu, a.q.length);
  const dk = emptyOutput(gpu, a.k.length);
  const dv = emptyOutput(gpu, a.k.length);
  const profile = options.profile ?? gpu.profile;
  const sizes = { ...a, tokens: a.queries };
  const bytes = attentionBackwardWorkspaceBytes(profile, sizes, options.variant);
  const calls = attentionBackward(profile, {
    ...sizes,
    q: upload(gpu, a.q),
    k: upload(gpu, a.k),
    v: upload(gpu, a.v),
    info: upload(gpu, a.kInfo, 'i32'),
    out: upload(gpu, forward.out),
    lse: upload(gpu, forward.lse),
    dOut: upload(gpu, dOut),
    workspace: emptyOutput(gpu, bytes / 4),
    dq,
    dk,
    dv,
    ...(options.variant && { variant: options.variant }),
  });
  await runKernels(gpu, calls);
  return {
    dq: await readF32(gpu, dq, a.q.length),
    dk: await readF32(gpu, dk, a.k.length),
    dv: await readF32(gpu, dv, a.k.length),
    calls,
  };
}
