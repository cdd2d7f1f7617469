import { DatasetError } from './errors.js';

/** Bytes of a text that is read whole: longer ones do not fit into one string of JavaScript. */
export const largestText = 500_000_000;

/**
 * The text of a data file: UTF-8 and nothing else.
 * @param firstLine number of the line that the bytes begin with
 * @throws DatasetError naming the first line that is not; for more than 500 MB
 */
export function decodeText(bytes: Uint8Array, file: string, firstLine = 1): string {
  if (bytes.length > largestText)
    throw new DatasetError({
      file,
      message: `this file has ${bytes.length} bytes; at most ${largestText} are read at once. Use fewer rows, or JSONL.`,
    });
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: firstLine > 1 }).decode(bytes);
  } catch {
    const line = firstLine - 1 + firstBadLine(bytes);
    const isUtf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
    throw new DatasetError({
      file,
      line,
      message: `this line is no valid UTF-8${isUtf16 ? ': the file is UTF-16' : ''}. Save the file as UTF-8.`,
    });
  }
}

/** No part of a character of several bytes looks like a line's end, so lines can be tried one by one. */
function firstBadLine(bytes: Uint8Array): number {
  let line = 1;
  for (let start = 0; start < bytes.length; line++) {
    const end = bytes.indexOf(0x0a, start);
    const stop = end < 0 ? bytes.length : end;
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(start, stop));
    } catch {
      return line;
    }
    start = stop + 1;
  }
  return line;
}
