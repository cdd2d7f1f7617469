import { withoutSecrets } from '@lapidary/weights';

/** A data set that cannot be used: which file, line and field, and what to do. */
export class DatasetError extends Error {
  override readonly name = 'DatasetError';
  readonly file: string;
  /** Counts from 1; undefined where no single line is to blame. */
  readonly line: number | undefined;
  constructor(
    { file, line, column, message }: { file: string; line?: number; column?: number; message: string },
    options?: ErrorOptions,
  ) {
    const place = `${withoutSecrets(file)}${line === undefined ? '' : `:${line}`}${column === undefined ? '' : `:${column}`}`;
    super(withoutSecrets(`${place}: ${message}`), options);
    this.file = withoutSecrets(file);
    this.line = line;
  }
}

/** A data set without a single row to learn from. */
export class EmptyDatasetError extends DatasetError {}
