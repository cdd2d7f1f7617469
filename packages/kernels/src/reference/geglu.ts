type Values = ArrayLike<number>;

/** ½x(1 + tanh(√(2/π)(x + 0.044715x³))) and its derivative, in float64. */
export function geluReference(x: number): { value: number; slope: number } {
  const c = Math.sqrt(2 / Math.PI);
  const t = Math.tanh(c * (x + 0.044715 * x ** 3));
  return {
    value: 0.5 * x * (1 + t),
    slope: 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x),
  };
}

/** gelu(gate) · up. */
export function gegluReference(gate: Values, up: Values): Float64Array {
  return Float64Array.from(gate, (x, i) => geluReference(x).value * up[i]!);
}

/** The gradients with respect to gate and up. */
export function gegluBackwardReference(
  gate: Values,
  up: Values,
  dOut: Values,
): { dGate: Float64Array; dUp: Float64Array } {
  return {
    dGate: Float64Array.from(gate, (x, i) => dOut[i]! * up[i]! * geluReference(x).slope),
    dUp: Float64Array.from(gate, (x, i) => dOut[i]! * geluReference(x).value),
  };
}
