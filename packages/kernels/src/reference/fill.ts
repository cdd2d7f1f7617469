/** `n` times `value`, as f32 holds it. */
export function fillReference(n: number, value: number): Float32Array {
  return new Float32Array(n).fill(value);
}
