/** As big_vision adds words to a vocabulary. */
const EMBEDDING_STD = 0.02;

/**
 * Starting values of a parameter that no file holds, f32 of `shape`: norms begin as the identity, biases at zero, positions and
 * words small, linears with variance 1/in (LeCun et al. 1998), as OpenPI's do. `random` gives numbers in [0, 1).
 */
export function initialParam(path: string, shape: readonly number[], random: () => number): Float32Array {
  const size = shape.reduce((a, b) => a * b, 1);
  const name = path.replace(/\.(weight|bias)$/, '');
  if (path.endsWith('.bias')) return new Float32Array(size);
  // LayerNorm multiplies by its weight, Gemma's RMSNorm by one more.
  if (/^vision\..*norm\d?$/i.test(name)) return new Float32Array(size).fill(1);
  if (/Norm$/.test(name)) return new Float32Array(size);
  const fanIn = size / (shape[0] ?? 1);
  const std = /embedTokens$/.test(name) ? EMBEDDING_STD : 1 / Math.sqrt(fanIn);
  return Float32Array.from({ length: size }, () => std * normal(random));
}

/** Box and Muller, 1958. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
