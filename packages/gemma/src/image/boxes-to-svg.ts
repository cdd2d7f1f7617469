import type { DetectedBox } from './detection-tokens.js';
import { labelColour } from './label-colour.js';

/** How boxes are drawn as SVG. */
export interface BoxesToSvgOptions {
  /** Of the picture below, in pixels. */
  readonly width: number;
  readonly height: number;
  /** Of the outlines, in pixels. Default 2. */
  readonly thickness?: number;
}

/** An SVG to lay over a picture in a page or report: an outline and the label for each box. Labels are escaped. */
export function boxesToSvg(boxes: readonly DetectedBox[], { width, height, thickness = 2 }: BoxesToSvgOptions): string {
  const size = Math.max(10, Math.round(Math.min(width, height) / 20));
  const shapes = boxes.map(({ label, xMin, yMin, xMax, yMax }) => {
    const [x, y] = [round(xMin * width), round(yMin * height)];
    const [w, h] = [round((xMax - xMin) * width), round((yMax - yMin) * height)];
    const colour = `rgb(${labelColour(label).join(',')})`;
    const box = `<rect x="${x}" y="${y}" width="${w}" height="${h}" fill="none" stroke="${colour}" stroke-width="${thickness}"/>`;
    if (label === '') return box;
    // Above the box, or below its upper edge where there is no room.
    const baseline = y > size * 1.2 ? y - size * 0.3 : y + size;
    return `${box}<text x="${round(x + thickness)}" y="${round(baseline)}" fill="${colour}">${escapeXml(label)}</text>`;
  });
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
    `font-family="sans-serif" font-size="${size}" font-weight="bold">${shapes.join('')}</svg>`
  );
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Characters that XML has no way to write become blanks. */
function escapeXml(text: string): string {
  return text.replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, ' ').replace(/[&<>"']/g, (sign) => entities[sign]!);
}
