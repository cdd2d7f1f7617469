import { ConfigError, DatasetError } from '@lapidary/trainer';
import { exitCodes } from './exit-codes.js';
import { trainFlags } from './train-flags/train-flags.js';

/** Errors that no user can do anything about: bugs, told with their stack. */
const bugs = new Set([
  'Error',
  'TypeError',
  'RangeError',
  'ReferenceError',
  'SyntaxError',
  'EvalError',
  'URIError',
  'AggregateError',
  'AssertionError',
  'GpuValidationError',
  'ShaderCompilationError',
]);

export interface ErrorDescription {
  readonly exitCode: number;
  readonly name: string;
  readonly message: string;
  readonly hint: string | null;
  /** Only for bugs. */
  readonly stack: string | null;
}

/** Typed errors as message and hint, errors of the operating system as they are, everything else as a bug. */
export function describeError(error: unknown): ErrorDescription {
  if (!(error instanceof Error)) {
    return { exitCode: exitCodes.bug, name: 'Error', message: String(error), hint: null, stack: String(error) };
  }
  const { name, message } = error;
  const hint = (error as { hint?: unknown }).hint;
  const described = {
    name,
    message:
      error instanceof ConfigError
        ? inFlags(error)
        : error instanceof DatasetError
          ? withFlags(inFlagNames(message))
          : message,
    hint: typeof hint === 'string' ? inFlagNames(hint) : null,
  };
  if (name === 'TrainingInterruptedError' || name === 'AbortError')
    return { ...described, exitCode: exitCodes.interrupted, stack: null };
  const isOfSystem = typeof (error as NodeJS.ErrnoException).syscall === 'string';
  if (isOfSystem || !bugs.has(name)) return { ...described, exitCode: exitCodes.userError, stack: null };
  return { ...described, exitCode: exitCodes.bug, stack: error.stack ?? message };
}

/** The problems of a config under the names of the flags that were typed. */
function inFlags({ problems }: ConfigError): string {
  const flagOf = (path: string) => trainFlags.find((flag) => flag.path === path)?.name ?? path;
  return problems
    .map(({ path, found, allowed }) => `${flagOf(path)}: found ${found}; allowed: ${inFlagNames(allowed)}`)
    .join('\n');
}

/** A message about data, with the flag behind the first mention of each field that has one. */
function withFlags(message: string): string {
  const named = new Set<string>();
  return message.replace(/\b(maxLength|tooLong)\b/g, (field) => {
    const flag = trainFlags.find(({ path }) => path.split('.').at(-1) === field);
    if (flag === undefined || named.has(field)) return field;
    named.add(field);
    return `${field} (${flag.name})`;
  });
}

/** Fields of the config that stand in backticks, as flags. */
export function inFlagNames(text: string): string {
  return text.replace(
    /`([\w.]+)`/g,
    (whole, path: string) => trainFlags.find((flag) => flag.path === path)?.name ?? whole,
  );
}
