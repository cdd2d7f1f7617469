import type { CaseResult, Measured } from './measure-case.js';

/** Peers on the same WebGPU adapter; the rest (PyTorch) is for orientation. */
const webGpuPeers = new Set(['jax-js', 'tfjs']);
const SWIFTSHADER_TARGET = 2;

/** What the case demands on this adapter. */
export function targetOf({ case: { target } }: CaseResult, adapter: string): number | undefined {
  if (target === undefined) return undefined;
  if (/swiftshader/i.test(adapter)) return SWIFTSHADER_TARGET;
  return /llvmpipe/i.test(adapter) ? target : undefined;
}

/** The WebGPU peer that was fastest. */
export function bestPeer({ measured }: CaseResult): Measured | undefined {
  return measured
    .filter(({ contender, ratio }) => webGpuPeers.has(contender) && ratio !== undefined)
    .sort((a, b) => a.ratio! - b.ratio!)[0];
}

/** Contenders whose results differ from ours by more than the case allows. */
export function disagreeing({ case: { tolerance }, measured }: CaseResult): Measured[] {
  return measured.filter(({ difference }) => difference !== undefined && !(difference <= tolerance));
}
