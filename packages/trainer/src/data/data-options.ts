/** Forms that rows may have. */
export const rowFormats = ['completion', 'messages', 'text'] as const;
export type RowFormat = (typeof rowFormats)[number];
export type DataFormat = 'auto' | RowFormat;

/** A path or URL, a file at hand, or rows in memory. */
export type DataSource = string | Blob | readonly object[];

export interface DataOptions {
  readonly source: DataSource;
  /** `auto`: told from the fields of the first row. */
  readonly format: DataFormat;
  /** Which tokens count in the loss; `completion` is everything for rows of plain text. */
  readonly lossOn: 'completion' | 'all';
  /** What to do with a row of more than `maxLength` tokens. */
  readonly tooLong: 'error' | 'truncate' | 'skip';
}
