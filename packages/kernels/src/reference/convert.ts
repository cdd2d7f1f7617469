const scratch = new DataView(new ArrayBuffer(4));

/** The 16 bits of a number in bf16 (8 exponent bits) or f16 (5), rounded to nearest even; NaN stays a NaN. */
export function packReference(value: number, to: 'bf16' | 'f16'): number {
  if (to === 'bf16') {
    scratch.setFloat32(0, value);
    const bits = scratch.getUint32(0);
    if (Number.isNaN(value)) return (bits >>> 16) | 0x40;
    const low = bits & 0xffff;
    const up = low > 0x8000 || (low === 0x8000 && (bits & 0x10000) !== 0);
    return ((bits >>> 16) + (up ? 1 : 0)) & 0xffff;
  }
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const a = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (a >= 65520) return sign | 0x7c00;
  // The spacing of f16 values around a: 2^-24 among denormals.
  const exponent = a < 2 ** -14 ? -14 : Math.floor(Math.log2(a));
  const steps = a / 2 ** (exponent - 10);
  const floor = Math.floor(steps);
  const rest = steps - floor;
  const rounded = floor + (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? 1 : 0);
  // Numbering the f16 values from 0 up gives their bits: a carry moves on to the next exponent by itself.
  return sign | (rounded + (exponent + 14) * 1024);
}

/** The value of 16 bits in bf16 or f16. */
export function unpackReference(bits: number, from: 'bf16' | 'f16'): number {
  if (from === 'bf16') {
    scratch.setUint32(0, bits << 16);
    return scratch.getFloat32(0);
  }
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1024 + mantissa) * 2 ** (exponent - 25));
}
