/**
 * Cuts f32 [3, S, S] into patches: f32 [(S/p)², 3·p·p], patches row by row over the grid, each as [3, p, p]: the order of a
 * convolution weight [W, 3, p, p] (Hugging Face's, PyTorch's), so that the convolution is one product of matrices.
 * @throws {RangeError} where p does not divide S, or the pixels are not 3·S·S.
 */
export function patchify(pixels: Float32Array, imageSize: number, patchSize: number): Float32Array {
  const grid = imageSize / patchSize;
  if (!Number.isSafeInteger(grid) || grid < 1)
    throw new RangeError(`patchify: patches of ${patchSize} pixels do not tile a picture of ${imageSize}`);
  if (pixels.length !== 3 * imageSize * imageSize) {
    throw new RangeError(
      `patchify: a picture [3, ${imageSize}, ${imageSize}] has ${3 * imageSize * imageSize} values, not ${pixels.length}`,
    );
  }
  const out = new Float32Array(pixels.length);
  let to = 0;
  for (let gridY = 0; gridY < grid; gridY++) {
    for (let gridX = 0; gridX < grid; gridX++) {
      for (let c = 0; c < 3; c++) {
        for (let y = 0; y < patchSize; y++) {
          const from = (c * imageSize + gridY * patchSize + y) * imageSize + gridX * patchSize;
          out.set(pixels.subarray(from, from + patchSize), to);
          to += patchSize;
        }
      }
    }
  }
  return out;
}
