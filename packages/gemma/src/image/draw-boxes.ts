import type { DetectedBox } from './detection-tokens.js';
import { type Colour, labelColour } from './label-colour.js';
import { maskSize } from './segmentation-tokens.js';
import type { RgbImage } from './rgb-image.js';

/** A box over a picture. */
export interface BoxToDraw extends DetectedBox {
  /** f32 [64, 64], 0 … 1, over the box: what `decodeMask` gives. */
  readonly mask?: Float32Array;
}

/** How boxes are drawn. */
export interface DrawBoxesOptions {
  /** Of the outline, in pixels, drawn inwards. Default 2. */
  readonly thickness?: number;
  /** Of the mask. Default 0.5. */
  readonly maskOpacity?: number;
  readonly colourOf?: (label: string) => Colour;
}

/** A copy of the picture with the outline of each box, and its mask, in its label's colour. What lies outside is cut off. */
export function drawBoxes(
  { width, height, data }: RgbImage,
  boxes: readonly BoxToDraw[],
  { thickness = 2, maskOpacity = 0.5, colourOf = labelColour }: DrawBoxesOptions = {},
): RgbImage {
  const copy = { width, height, data: data.slice() };
  for (const box of boxes) {
    const edges = pixelEdges(box, width, height);
    const colour = colourOf(box.label);
    if (box.mask !== undefined) drawMask(copy, box.mask, edges, { colour, opacity: maskOpacity });
    drawOutline(copy, edges, { colour, thickness });
  }
  return copy;
}

interface Edges {
  readonly left: number;
  readonly top: number;
  /** Beyond the last pixel, at least one after the first. */
  readonly right: number;
  readonly bottom: number;
}

function pixelEdges({ xMin, xMax, yMin, yMax }: DetectedBox, width: number, height: number): Edges {
  const [left, top] = [Math.round(xMin * width), Math.round(yMin * height)];
  return {
    left,
    top,
    right: Math.max(left + 1, Math.round(xMax * width)),
    bottom: Math.max(top + 1, Math.round(yMax * height)),
  };
}

function blend({ width, height, data }: RgbImage, x: number, y: number, colour: Colour, opacity: number): void {
  if (x < 0 || y < 0 || x >= width || y >= height) return;
  for (let c = 0; c < 3; c++) {
    const at = (y * width + x) * 3 + c;
    data[at] = Math.round(data[at]! + (colour[c]! - data[at]!) * opacity);
  }
}

function drawOutline(
  image: RgbImage,
  { left, top, right, bottom }: Edges,
  { colour, thickness }: { colour: Colour; thickness: number },
): void {
  for (let y = Math.max(0, top); y < Math.min(image.height, bottom); y++) {
    const isEdge = y < top + thickness || y >= bottom - thickness;
    for (let x = Math.max(0, left); x < Math.min(image.width, right); x++) {
      if (isEdge || x < left + thickness || x >= right - thickness) blend(image, x, y, colour, 1);
    }
  }
}

function drawMask(
  image: RgbImage,
  mask: Float32Array,
  { left, top, right, bottom }: Edges,
  { colour, opacity }: { colour: Colour; opacity: number },
): void {
  if (mask.length !== maskSize * maskSize)
    throw new RangeError(`drawBoxes: a mask has ${maskSize}×${maskSize} values, not ${mask.length}`);
  for (let y = Math.max(0, top); y < Math.min(image.height, bottom); y++) {
    for (let x = Math.max(0, left); x < Math.min(image.width, right); x++) {
      const row = ((y - top + 0.5) / (bottom - top)) * maskSize - 0.5;
      const column = ((x - left + 0.5) / (right - left)) * maskSize - 0.5;
      if (sampleMask(mask, row, column) > 0.5) blend(image, x, y, colour, opacity);
    }
  }
}

/** Between the four nearest values. */
function sampleMask(mask: Float32Array, row: number, column: number): number {
  const inside = (position: number) => Math.min(maskSize - 1, Math.max(0, position));
  const [y, x] = [inside(row), inside(column)];
  const [top, left] = [Math.floor(y), Math.floor(x)];
  const value = (r: number, c: number) => mask[inside(r) * maskSize + inside(c)]!;
  const upper = value(top, left) + (value(top, left + 1) - value(top, left)) * (x - left);
  const lower = value(top + 1, left) + (value(top + 1, left + 1) - value(top + 1, left)) * (x - left);
  return upper + (lower - upper) * (y - top);
}
