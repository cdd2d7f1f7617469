/** Arguments that make no command. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly hint: string;
  constructor({ message, hint }: { message: string; hint: string }) {
    super(message);
    this.hint = hint;
  }
}
