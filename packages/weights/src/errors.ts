import { causeWithoutSecrets, withoutSecrets } from './source/secrets.js';

/** Where in a file something is wrong. */
export interface FileLocation {
  readonly file: string;
  /** The tensor concerned, by its name in the file. */
  readonly tensor?: string;
  /** Byte position in the file. */
  readonly offset?: number;
}

function at({ file, tensor, offset }: FileLocation): string {
  return `${withoutSecrets(file)}${tensor === undefined ? '' : `, tensor ${tensor}`}${offset === undefined ? '' : `, byte ${offset}`}`;
}

/** A file that breaks its format: truncated, corrupt, or not of that format at all. */
export class WeightFileError extends Error {
  override readonly name = 'WeightFileError';
  readonly file: string;
  readonly tensor: string | undefined;
  readonly offset: number | undefined;
  constructor(where: FileLocation, problem: string, options?: ErrorOptions) {
    super(withoutSecrets(`${at(where)}: ${problem}`), options);
    this.file = withoutSecrets(where.file);
    this.tensor = where.tensor;
    this.offset = where.offset;
  }
}

/** Bytes could not be had: no such file, no network, the server says no. */
export class WeightSourceError extends Error {
  override readonly name = 'WeightSourceError';
  readonly file: string;
  /** HTTP status, where a server answered. */
  readonly status: number | undefined;
  constructor(file: string, problem: string, options?: ErrorOptions & { status?: number }) {
    // A cause is printed with the error: what is secret in it does not belong there either.
    const { cause } = options ?? {};
    super(
      withoutSecrets(`${withoutSecrets(file)}: ${problem}`),
      cause === undefined ? {} : { cause: causeWithoutSecrets(cause) },
    );
    this.file = withoutSecrets(file);
    this.status = options?.status;
  }
}

/** A tensor stored in a type that cannot be read, or not into the type asked for. */
export class WeightDTypeError extends Error {
  override readonly name = 'WeightDTypeError';
  readonly file: string;
  readonly tensor: string;
  readonly dtype: string;
  constructor(where: { file: string; tensor: string; dtype: string }, problem: string) {
    super(withoutSecrets(`${withoutSecrets(where.file)}, tensor ${where.tensor}: ${problem}`));
    this.file = withoutSecrets(where.file);
    this.tensor = where.tensor;
    this.dtype = where.dtype;
  }
}

/** A parameter whose shape in the file is not the model's. */
export class WeightShapeError extends Error {
  override readonly name = 'WeightShapeError';
  readonly path: string;
  readonly expected: readonly number[];
  readonly found: readonly number[];
  readonly file: string;
  constructor(where: {
    path: string;
    expected: readonly number[];
    found: readonly number[];
    file: string;
    tensor: string;
  }) {
    super(
      withoutSecrets(
        `${withoutSecrets(where.file)}, tensor ${where.tensor}: shape [${where.found.join(', ')}], but ${where.path} is ` +
          `[${where.expected.join(', ')}]. The weights do not belong to this configuration.`,
      ),
    );
    this.path = where.path;
    this.expected = where.expected;
    this.found = where.found;
    this.file = withoutSecrets(where.file);
  }
}

/** Parameters without weights, weights without a parameter, or two weights for one parameter. */
export class WeightNamesError extends Error {
  override readonly name = 'WeightNamesError';
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  constructor(where: string, problem: string, names: { missing?: readonly string[]; unexpected?: readonly string[] }) {
    super(withoutSecrets(`${withoutSecrets(where)}: ${problem}`));
    this.missing = names.missing ?? [];
    this.unexpected = names.unexpected ?? [];
  }
}

/** A LoRA adapter that cannot be read or written as asked. */
export class AdapterError extends Error {
  override readonly name = 'AdapterError';
  readonly file: string;
  constructor(file: string, problem: string) {
    super(withoutSecrets(`${withoutSecrets(file)}: ${problem}`));
    this.file = withoutSecrets(file);
  }
}
