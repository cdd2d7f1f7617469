/** CMYK [N, 4] as RGB [N, 3] without a profile, as Pillow has it: each ink takes its part of what black leaves, rounded. */
export function cmykToRgb(cmyk: Uint8Array): Uint8Array {
  const count = cmyk.length / 4;
  const rgb = new Uint8Array(count * 3);
  for (let i = 0; i < count; i++) {
    const left = 255 - cmyk[4 * i + 3]!;
    for (let c = 0; c < 3; c++) rgb[3 * i + c] = left - Math.round((cmyk[4 * i + c]! * left) / 255);
  }
  return rgb;
}
