import { withoutSecrets } from '@lapidary/weights';

/** What was exported is not on the hub: it may not be written to, cannot be reached, or refuses; or what was exported is not whole. */
export class HubPushError extends Error {
  override readonly name = 'HubPushError';
  readonly hint: string | null;
  /** What the hub answered; null where it answered nothing. */
  readonly status: number | null;
  constructor({
    message,
    hint = null,
    status = null,
  }: {
    message: string;
    hint?: string | null;
    status?: number | null;
  }) {
    super(message);
    this.hint = hint;
    this.status = status;
  }
}

/** Whom the hub was asked about what. */
export interface AskedHub {
  readonly endpoint: string;
  readonly repository: string;
  /** Never told, whatever a server says. */
  readonly token: string;
  /** Whose token it is, once that is known. */
  readonly user?: string | undefined;
}

/** What a request ended with, for users. Errors of the file system are left as they are. */
export function pushErrorOf(error: unknown, asked: AskedHub): Error {
  if (error instanceof HubPushError) return error;
  if (!(error instanceof Error)) return new HubPushError({ message: `The push failed: ${String(error)}` });
  const { statusCode, syscall } = error as { readonly statusCode?: unknown; readonly syscall?: unknown };
  if (typeof statusCode === 'number') return answered(statusCode, said(error, asked), asked);
  if (typeof syscall === 'string') return error;
  const { endpoint } = asked;
  if (error.name === 'TimeoutError')
    return new HubPushError({
      message: `${endpoint}, or its storage, took too long: ${error.message}`,
      hint: 'Look at the network, and try again.',
    });
  if (error instanceof TypeError && error.cause instanceof Error) {
    const { message, cause } = error;
    return new HubPushError({
      message: `${endpoint}, or its storage, cannot be reached: ${plain(cause instanceof Error ? cause.message || message : message, asked)}.`,
      hint: 'Look at the network or its proxy, and try again; HF_ENDPOINT names another hub.',
    });
  }
  return new HubPushError({
    message: `${endpoint} answered what is not understood: ${plain(error.message, asked)}.`,
    hint: 'Is it a Hugging Face hub? HF_ENDPOINT names another.',
  });
}

function answered(status: number, text: string, { endpoint, repository, user }: AskedHub): HubPushError {
  const owner = repository.split('/')[0];
  const who = user === undefined ? '' : ` of ${user}`;
  const of = (message: string, hint: string) => new HubPushError({ message, hint, status });
  switch (status) {
    case 401:
      return of(
        `${endpoint} answers 401: it does not know the access token${text}.`,
        `It may have expired: make another on ${endpoint}/settings/tokens, and set HF_TOKEN or run \`hf auth login\`.`,
      );
    case 403:
      return of(
        `${endpoint} answers 403: the access token${who} may not write to ${repository}${text}.`,
        `It takes a token with write access to ${owner}: ${endpoint}/settings/tokens.`,
      );
    case 404:
      return of(
        `${endpoint} answers 404: there is no ${repository} that can be written to${text}.`,
        `Is ${owner} the name of a user or an organisation? Was the repository removed meanwhile?`,
      );
    case 409:
    case 412:
      return of(`${endpoint} answers ${status}: ${repository} was changed meanwhile${text}.`, 'Push again.');
    case 413:
      return of(`${endpoint} answers 413: a file is larger than it takes${text}.`, '--shard-size makes smaller ones.');
    case 429:
      return of(`${endpoint} answers 429: too much was asked of it${text}.`, 'Wait some minutes, and push again.');
    default:
      return of(
        `${endpoint} answers ${status}${text}.`,
        status >= 500 ? 'The fault is there: push again later.' : 'Look at what it says.',
      );
  }
}

const longestSaid = 300;

/** What the server says, in brackets. Its address, which the library puts behind, may be signed. */
function said(error: Error, asked: AskedHub): string {
  const text = plain(error.message.replace(/\.? ?(?:Api error with status \d+|URL: ).*$/s, ''), asked);
  return text === '' ? '' : ` (it says: ${text.slice(0, longestSaid)})`;
}

/** On one line, without secrets. */
function plain(text: string, { token }: AskedHub): string {
  return withoutSecrets(text.replaceAll(token, '…'))
    .replace(/[\s\u0000-\u001f\u007f-\u009f]+/g, ' ')
    .trim()
    .replace(/\.$/, '');
}
