import { checkCodebookIndices } from '../../image/segmentation-tokens.js';

/**
 * The arrays of `vae-oid.npz` (gs://big_vision/paligemma/vae-oid.npz), by the names in that file; what the encoder needs may
 * be there too. `_vq_vae._embedding` [128, 512], then `decoder.N.weight` and `.bias` in PyTorch's order of axes.
 */
export type MaskDecoderWeights = Readonly<Record<string, Float32Array>>;

/** Weights of a mask decoder that are not there, or not of the size they should have. */
export class MaskDecoderWeightError extends Error {
  override readonly name = 'MaskDecoderWeightError';
  readonly tensor: string;
  readonly expected: number;
  readonly found: number | undefined;
  constructor(tensor: string, expected: number, found: number | undefined) {
    super(
      `The mask decoder's ${tensor} ${found === undefined ? 'is missing' : `has ${found} values`}, not ${expected}. ` +
        'Read them from vae-oid.npz of PaliGemma.',
    );
    this.tensor = tensor;
    this.expected = expected;
    this.found = found;
  }
}

/** f32 [channels, size, size] */
interface Feature {
  readonly channels: number;
  readonly size: number;
  readonly data: Float32Array;
}

const embeddingSize = 512;

/**
 * The mask that 16 codebook indices stand for, over its box: f32 [64, 64], 0 outside to 1 inside, cut at 0.5. The decoder of
 * the VQ-VAE that PaliGemma was trained with (Kolesnikov et al. 2022, arXiv:2205.10337; Ning et al. 2023, arXiv:2301.02229;
 * google-research/big_vision, evaluators/proj/paligemma/transfers/segmentation.py): 4 × 4 embeddings, a 1 × 1 convolution, two
 * residual blocks, four transposed convolutions that double the size, and a 1 × 1 convolution to values −1 … 1. Some 40
 * million products: a tenth of a second.
 * @throws {RangeError} for indices that are not 16 of 0 … 127.
 * @throws {MaskDecoderWeightError}
 */
export function decodeMask(codebookIndices: readonly number[], weights: MaskDecoderWeights): Float32Array {
  checkCodebookIndices(codebookIndices);
  let x = relu(conv(embed(codebookIndices, weights), weights, 'decoder.0', 128, 1));
  for (const block of [2, 3]) {
    const name = `decoder.${block}.net`;
    const wide = relu(conv(x, weights, `${name}.0`, 128, 3));
    const inner = conv(relu(conv(wide, weights, `${name}.2`, 128, 3)), weights, `${name}.4`, 128, 1);
    x = { ...x, data: x.data.map((value, i) => value + inner.data[i]!) };
  }
  for (const [layer, channels] of [
    [4, 128],
    [6, 64],
    [8, 32],
    [10, 16],
  ] as const) {
    x = relu(convTransposed(x, weights, `decoder.${layer}`, channels));
  }
  const { data } = conv(x, weights, 'decoder.12', 1, 1);
  return data.map((value) => Math.min(1, Math.max(0, value * 0.5 + 0.5)));
}

function tensor(weights: MaskDecoderWeights, name: string, length: number): Float32Array {
  const found = weights[name];
  if (found?.length !== length) throw new MaskDecoderWeightError(name, length, found?.length);
  return found;
}

function embed(indices: readonly number[], weights: MaskDecoderWeights): Feature {
  const table = tensor(weights, '_vq_vae._embedding', 128 * embeddingSize);
  const data = new Float32Array(embeddingSize * 16);
  indices.forEach((index, at) => {
    for (let c = 0; c < embeddingSize; c++) data[c * 16 + at] = table[index * embeddingSize + c]!;
  });
  return { channels: embeddingSize, size: 4, data };
}

function relu({ data, ...shape }: Feature): Feature {
  return { ...shape, data: data.map((value) => Math.max(0, value)) };
}

/** Starts from a layer's bias: [channels, size, size]. */
function biased(weights: MaskDecoderWeights, name: string, channels: number, size: number): Float32Array {
  const bias = tensor(weights, `${name}.bias`, channels);
  const data = new Float32Array(channels * size * size);
  for (let c = 0; c < channels; c++) data.fill(bias[c]!, c * size * size, (c + 1) * size * size);
  return data;
}

/** k × k, stride 1, the size kept by zeros around it; weight [out, in, k, k]. */
function conv(x: Feature, weights: MaskDecoderWeights, name: string, channels: number, k: 1 | 3): Feature {
  const { size } = x;
  const area = size * size;
  const kernel = tensor(weights, `${name}.weight`, channels * x.channels * k * k);
  const data = biased(weights, name, channels, size);
  const pad = (k - 1) / 2;
  let at = 0;
  for (let out = 0; out < channels; out++) {
    for (let into = 0; into < x.channels; into++) {
      for (let ky = -pad; ky <= pad; ky++) {
        for (let kx = -pad; kx <= pad; kx++) {
          const weight = kernel[at++]!;
          for (let y = Math.max(0, -ky); y < Math.min(size, size - ky); y++) {
            const from = into * area + (y + ky) * size + kx;
            const to = out * area + y * size;
            for (let i = Math.max(0, -kx); i < Math.min(size, size - kx); i++)
              data[to + i] = data[to + i]! + weight * x.data[from + i]!;
          }
        }
      }
    }
  }
  return { channels, size, data };
}

/** 4 × 4, stride 2, padding 1, so twice the size; weight [in, out, 4, 4]. Input (y, x) adds to output (2y − 1 + ky, 2x − 1 + kx). */
function convTransposed(x: Feature, weights: MaskDecoderWeights, name: string, channels: number): Feature {
  const { size } = x;
  const wide = size * 2;
  const kernel = tensor(weights, `${name}.weight`, x.channels * channels * 16);
  const data = biased(weights, name, channels, wide);
  let at = 0;
  for (let into = 0; into < x.channels; into++) {
    for (let out = 0; out < channels; out++) {
      for (let ky = 0; ky < 4; ky++) {
        for (let kx = 0; kx < 4; kx++) {
          const weight = kernel[at++]!;
          for (let y = 0; y < size; y++) {
            const row = 2 * y - 1 + ky;
            if (row < 0 || row >= wide) continue;
            const from = (into * size + y) * size;
            const to = (out * wide + row) * wide - 1 + kx;
            // The first and the last column reach over the edge.
            const first = kx === 0 ? 1 : 0;
            const end = kx === 3 ? size - 1 : size;
            for (let i = first; i < end; i++) data[to + 2 * i] = data[to + 2 * i]! + weight * x.data[from + i]!;
          }
        }
      }
    }
  }
  return { channels, size: wide, data };
}
