import { type DetectedBox, formatDetection, type MalformedDetection, scanDetections } from './detection-tokens.js';

/** Boxes in a text, and what is malformed. */
export interface ParsedBoxes {
  readonly boxes: DetectedBox[];
  /** What is no detection, in the order of the answer. */
  readonly malformed: MalformedDetection[];
}

/**
 * Boxes in the answer to `detect cat ; dog`: `<loc0256><loc0128><loc0768><loc0900> cat ; …`, positions yMin, xMin, yMax, xMax
 * in 1023rds of the picture (as in google-research/big_vision). `<seg…>` tokens after a box are passed over:
 * `parseSegments` reads them. Never throws.
 */
export function parseBoxes(answer: string): ParsedBoxes {
  const { found, malformed } = scanDetections(answer);
  return { boxes: found.map(({ box }) => box), malformed };
}

/**
 * The answer that names these boxes, for training: the reverse of `parseBoxes`, to the nearest 1023rd.
 * @throws {DetectionLabelError} for a label that would read as something else.
 * @throws {RangeError} for coordinates that are not numbers, or a box that is empty.
 */
export function formatBoxes(boxes: readonly DetectedBox[]): string {
  return boxes.map((box) => formatDetection(box)).join(' ; ');
}
