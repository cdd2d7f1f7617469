/** Red, green, blue, 0 … 255. */
export type Colour = readonly [number, number, number];

/** A bright colour that depends on the label alone: the same in every picture and report. */
export function labelColour(label: string): Colour {
  let hash = 0x811c9dc5;
  // FNV-1a, and then a mix: similar labels shall differ.
  for (let i = 0; i < label.length; i++) hash = Math.imul(hash ^ label.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 8;
  const hue = (hash % 360) / 60;
  // Hue, full saturation, no darker than 40.
  const channel = (shift: number) => {
    const distance = Math.abs(((hue + shift) % 6) - 3);
    return Math.round(40 + 215 * Math.min(1, Math.max(0, distance - 1)));
  };
  return [channel(0), channel(4), channel(2)];
}
