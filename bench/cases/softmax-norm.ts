import type { BenchCase, Size } from './case.js';

export const softmaxNorm = (size: Size): BenchCase[] => {
  const rows = size === 'small' ? 1024 : 8192;
  const sized = (dim: number) => ({ params: { rows, dim }, work: { bytes: 2 * 4 * rows * dim }, tolerance: 1e-5 });
  const hidden = size === 'small' ? 640 : 2560;
  return [
    { family: 'softmax', name: `${rows}×1024`, op: 'softmax', ...sized(1024), target: 5 },
    { family: 'norm', name: `RMSNorm ${rows}×${hidden}`, op: 'rmsNorm', ...sized(hidden), target: 4 },
    { family: 'norm', name: `LayerNorm ${rows}×${hidden}`, op: 'layerNorm', ...sized(hidden) },
  ];
};
