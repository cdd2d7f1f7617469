import {
  type DetectedBox,
  formatDetection,
  type MalformedDetection,
  scanDetections,
  segmentsPerMask,
} from './detection-tokens.js';

/** Pixels a side of a decoded mask. */
export const maskSize = 64;

/** A box with the outline of what is in it. */
export interface DetectedSegment extends DetectedBox {
  /** 16 indices 0 … 127 into the mask decoder's codebook, row by row over a 4 × 4 grid on the box: see `decodeMask`. */
  readonly codebookIndices: readonly number[];
}

/** Segments in a text, and what is malformed. */
export interface ParsedSegments {
  readonly segments: DetectedSegment[];
  /** What is no detection, or a box without a mask. */
  readonly malformed: MalformedDetection[];
}

/** Segments in the answer to `segment cat`: four `<loc…>`, 16 `<seg…>`, a label. Never throws. */
export function parseSegments(answer: string): ParsedSegments {
  const { found, malformed } = scanDetections(answer);
  const segments: DetectedSegment[] = [];
  const problems = [...malformed];
  for (const { box, segments: codebookIndices, text, start } of found) {
    if (codebookIndices.length > 0) segments.push({ ...box, codebookIndices });
    else problems.push({ text, start, problem: `no <seg…> tokens instead of ${segmentsPerMask}` });
  }
  return { segments, malformed: problems.sort((a, b) => a.start - b.start) };
}

/**
 * The answer that names these segments: the reverse of `parseSegments`.
 * @throws {DetectionLabelError}
 * @throws {RangeError} for a box that is empty, or indices that are not 16 of 0 … 127.
 */
export function formatSegments(segments: readonly DetectedSegment[]): string {
  return segments
    .map(({ codebookIndices, ...box }) => {
      checkCodebookIndices(codebookIndices);
      return formatDetection(box, codebookIndices.map((index) => `<seg${String(index).padStart(3, '0')}>`).join(''));
    })
    .join(' ; ');
}

/** @throws {RangeError} */
export function checkCodebookIndices(indices: readonly number[]): void {
  const isIndex = (index: number) => Number.isInteger(index) && index >= 0 && index < 128;
  if (indices.length !== segmentsPerMask || !indices.every(isIndex))
    throw new RangeError(`a mask is ${segmentsPerMask} whole numbers from 0 to 127, not [${indices.join(', ')}]`);
}
