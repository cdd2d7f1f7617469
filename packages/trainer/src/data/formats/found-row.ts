import type { ByteSource } from '@lapidary/weights';

/** A value of a data file, and the line it stands on (or its number in a list). */
export interface FoundRow {
  readonly value: unknown;
  readonly line: number;
}

/** Reads a file piece by piece, where its format allows that. @throws DatasetError naming file and line */
export type RowReader = (source: ByteSource) => AsyncIterable<FoundRow>;
