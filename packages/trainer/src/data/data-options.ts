import type { ChatTemplateKwargs } from '@lapidary/gemma';
import type { DataFiles } from './data-files.js';

/** Forms that rows may have. */
export const rowFormats = ['completion', 'messages', 'text'] as const;
export type RowFormat = (typeof rowFormats)[number];
export type DataFormat = 'auto' | RowFormat;

/** What counts in the loss: answers (of conversations each of the model's turns), only the last of these turns, or everything. */
export const lossParts = ['completion', 'last', 'all'] as const;

/**
 * A path of a file or a folder, a URL, a data set of the hub (`hf:owner/name`), a file at hand, rows in memory, or files from elsewhere
 * such as `hubDataset` gives.
 */
export type DataSource = string | Blob | readonly object[] | DataFiles;

export interface DataOptions {
  readonly source: DataSource;
  /** `auto`: told from the fields of each row. */
  readonly format: DataFormat;
  /** Which tokens count in the loss; `completion` and `last` are everything for rows of plain text. */
  readonly lossOn: (typeof lossParts)[number];
  /** What to do with a row of more than `maxLength` tokens. */
  readonly tooLong: 'error' | 'truncate' | 'skip';
  /** What rows call their prompt, a text or a list of messages. Default `prompt`. */
  readonly promptKey?: string | undefined;
  /** What rows call their completion. Default `completion`. */
  readonly completionKey?: string | undefined;
  /** What the chat template takes beside messages, for every conversation: `{ enable_thinking: true }`. A row's own come before these. */
  readonly chatTemplateKwargs?: ChatTemplateKwargs | undefined;
  /** Of a folder or a data set of the hub: the part that is read, and no other. Default: train to learn from, valid to evaluate on. */
  readonly split?: string | undefined;
  /** Of a data set of the hub that has several: which. Default the only one, or `default`. */
  readonly config?: string | undefined;
  /** Of a data set of the hub: branch, tag or commit, whose own files are read. Default: the Parquet files that the hub makes of it. */
  readonly revision?: string | undefined;
}
