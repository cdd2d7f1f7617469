import { describeError } from '../describe-error.js';
import { exitCodes } from '../exit-codes.js';

/** What a client is told, in OpenAI's form. */
export interface ApiErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

/** A request that is refused. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** Of HTTP. */
  readonly status: 400 | 401 | 403 | 404 | 405 | 413 | 415 | 429 | 500 | 503;
  /** The field that is wrong: `messages.0.content`. */
  readonly param: string | null;
  readonly code: string | null;

  constructor(
    message: string,
    {
      status = 400,
      param = null,
      code = null,
    }: { readonly status?: ApiError['status']; readonly param?: string | null; readonly code?: string | null } = {},
  ) {
    super(message);
    this.status = status;
    this.param = param;
    this.code = code;
  }

  get body(): ApiErrorBody {
    const { message, param, code, status } = this;
    const type = status === 429 ? 'rate_limit_error' : status >= 500 ? 'server_error' : 'invalid_request_error';
    return { error: { message, type, param, code } };
  }
}

/** What people can correct becomes a refusal; of everything else a client learns only that it happened. */
export function apiErrorOf(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const { exitCode, name, message } = describeError(error);
  switch (name) {
    case 'ContextLengthError':
      return new ApiError(message, { code: 'context_length_exceeded' });
    case 'ChatTemplateError':
    case 'PromptImagesError':
      return new ApiError(message, { param: 'messages' });
    case 'ImageError':
      return new ApiError(message, { param: 'messages', code: 'invalid_image' });
    case 'SamplingError':
      return new ApiError(message);
    case 'EmbeddingModelError':
      return new ApiError(message, { param: 'model' });
    case 'EmbeddingError':
    case 'IllFormedTextError':
      return new ApiError(message, { param: 'input' });
    default:
      return new ApiError(
        exitCode === exitCodes.interrupted ? 'the server stops' : 'the answer could not be made; the server tells why',
        { status: exitCode === exitCodes.interrupted ? 503 : 500 },
      );
  }
}
