import { transferHandlers, type TransferHandler } from 'comlink';

/** An error as it crosses from the worker to the page: with what the user can do about it. */
export class Problem extends Error {
  override readonly name: string;
  readonly hint: string | null;
  constructor({ name, message, hint }: { name: string; message: string; hint: string | null }) {
    super(message);
    this.name = name;
    this.hint = hint;
  }
}

/** Fields that errors of the packages tell what to do in. */
function hintOf(error: object): string | null {
  const { hint, advice } = error as { hint?: unknown; advice?: unknown };
  return typeof hint === 'string' ? hint : typeof advice === 'string' ? advice : null;
}

export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (!(error instanceof Error)) return new Problem({ name: 'Error', message: String(error), hint: null });
  return new Problem({ name: error.name, message: error.message, hint: hintOf(error) });
}

type Plain = ConstructorParameters<typeof Problem>[0];

/** Comlink hands an error's message on, but not its other fields: both sides call this first. */
export function keepProblemsWhole(): void {
  const thrown = transferHandlers.get('throw')!;
  const whole: TransferHandler<{ value: unknown }, Plain> = {
    canHandle: (value): value is { value: unknown } => thrown.canHandle(value),
    serialize: ({ value }) => {
      const { name, message, hint } = problemOf(value);
      return [{ name, message, hint }, []];
    },
    deserialize: (plain) => {
      throw new Problem(plain);
    },
  };
  transferHandlers.set('throw', whole);
}
