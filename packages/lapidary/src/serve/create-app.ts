import { createHash, timingSafeEqual } from 'node:crypto';
import type { ChatTemplateKwargs } from '@lapidary/gemma';
import { Hono, type Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { cors } from 'hono/cors';
import type { Answerer } from '../engine.js';
import { ApiError, apiErrorOf } from './api-error.js';
import { askedModel, respondEmbeddings } from './embeddings.js';
import { readChatRequest, readCompletionRequest, type AnswerRequest } from './read-request.js';
import { chatForm, completionForm, respondStream, respondWhole, type AnswerForm } from './respond.js';

/** What a server does. */
export interface AppOptions {
  readonly answerer: Answerer;
  /** What the model by itself is called. */
  readonly modelName: string;
  /** Undefined: nobody needs one. */
  readonly apiKey: string | undefined;
  /** Whether only this machine is served: then requests must be made to a name of this machine. */
  readonly isLocal: boolean;
  /** What the chat template takes beside messages, where a request does not say it. */
  readonly chatTemplateKwargs?: ChatTemplateKwargs | undefined;
  /** Origins of pages that may ask. */
  readonly origins: readonly string[];
  /** Bytes. */
  readonly largestBody: number;
  /** Answers, of all requests together, that may wait or be made at once. */
  readonly mostAnswers: number;
  /** Ends what is being answered. */
  readonly signal: AbortSignal;
  readonly onError: (error: unknown) => void;
}

const digest = (text: string) => createHash('sha256').update(text).digest();

/** Only names of this machine: a page whose own name was made to lead here (DNS rebinding) gives itself away by that name. */
const localHost = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i;

/** OpenAI's interface to a model: chat completions, completions, embeddings, and the list of models. */
export function createApp(options: AppOptions): Hono {
  const { answerer, modelName, apiKey, origins, largestBody } = options;
  const app = new Hono();
  let answering = 0;

  const refuse = (context: Context, error: unknown) => {
    const refusal = apiErrorOf(error);
    if (refusal.status >= 500 && !options.signal.aborted && !context.req.raw.signal.aborted) options.onError(error);
    return context.json(refusal.body, refusal.status);
  };
  app.onError((error, context) => refuse(context, error));
  app.notFound((context) =>
    refuse(
      context,
      new ApiError(
        `there is no ${context.req.method} ${context.req.path}; there are POST /v1/chat/completions, POST /v1/completions, POST /v1/embeddings, GET /v1/models and GET /health`,
        { status: 404, code: 'not_found' },
      ),
    ),
  );

  app.use(async (context, next) => {
    if (options.isLocal && !localHost.test(context.req.header('host') ?? ''))
      throw new ApiError('this server is asked by another name than localhost: refused', {
        status: 403,
        code: 'host_not_allowed',
      });
    const origin = context.req.header('origin');
    if (origin !== undefined && !origins.includes(origin) && !origins.includes('*'))
      throw new ApiError('pages may not ask this server; `lapidary serve --cors <origin>` allows those of an origin', {
        status: 403,
        code: 'origin_not_allowed',
      });
    await next();
  });
  if (origins.length > 0)
    app.use(cors({ origin: origins.includes('*') ? '*' : [...origins], allowMethods: ['GET', 'POST'] }));
  app.get('/health', (context) => context.json({ status: 'ok' }));
  app.use(async (context, next) => {
    const [, given = ''] = /^Bearer (.+)$/i.exec(context.req.header('authorization') ?? '') ?? [];
    // Of digests, which are all of one length: how long it takes says nothing of the key.
    if (apiKey !== undefined && !timingSafeEqual(digest(given), digest(apiKey)))
      throw new ApiError('the API key is missing or wrong: send it as Authorization: Bearer …', {
        status: 401,
        code: 'invalid_api_key',
      });
    await next();
  });

  const created = Math.floor(Date.now() / 1000);
  const models = [modelName, ...answerer.adapters].map((id) => ({
    id,
    object: 'model',
    created,
    owned_by: 'lapidary',
  }));
  const modelOf = (id: string) => {
    const found = models.find((model) => model.id === id);
    if (found !== undefined) return found;
    throw new ApiError(`there is no model '${id}'; there are ${models.map((model) => model.id).join(', ')}`, {
      status: 404,
      param: 'model',
      code: 'model_not_found',
    });
  };
  app.get('/v1/models', (context) => context.json({ object: 'list', data: models }));
  app.get('/v1/models/:id{.+}', (context) => context.json(modelOf(context.req.param('id'))));

  app.use(
    bodyLimit({
      maxSize: largestBody,
      onError: (context) =>
        refuse(context, new ApiError(`the body is larger than ${largestBody} bytes`, { status: 413 })),
    }),
  );

  const answer = async (context: Context, form: AnswerForm, read: (body: unknown) => AnswerRequest) => {
    const request = read(await readJson(context));
    modelOf(request.model);
    const adapter = request.model === modelName ? null : request.model;
    const count = request.questions.length * request.n;
    if (answering + count > options.mostAnswers)
      throw new ApiError(`${answering} answers are waited for already, and ${options.mostAnswers} is the most`, {
        status: 429,
        code: 'rate_limit_exceeded',
      });
    answering += count;
    const done = () => void (answering -= count);
    let isStreaming = false;
    try {
      const asked = [];
      const { images, tools } = request;
      const chatTemplateKwargs =
        form === chatForm ? { ...options.chatTemplateKwargs, ...request.chatTemplateKwargs } : undefined;
      for (const question of request.questions)
        asked.push(await answerer.ask(question, { adapter, images, tools, chatTemplateKwargs }));
      const { maxLength } = answerer;
      const { onError } = options;
      const signal = AbortSignal.any([context.req.raw.signal, options.signal]);
      const work = { request, asked, form, maxLength, signal, onError };
      if (!request.stream) return context.json(await respondWhole(work));
      isStreaming = true;
      return new Response(respondStream({ ...work, onDone: done }), {
        headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' },
      });
    } finally {
      if (!isStreaming) done();
    }
  };
  app.post('/v1/chat/completions', (context) => answer(context, chatForm, readChatRequest));
  app.post('/v1/completions', (context) => answer(context, completionForm, readCompletionRequest));
  app.post('/v1/embeddings', async (context) => {
    const body = await readJson(context);
    modelOf(askedModel(body));
    const signal = AbortSignal.any([context.req.raw.signal, options.signal]);
    return context.json(await respondEmbeddings(body, { answerer, modelName, signal }));
  });
  return app;
}

async function readJson(context: Context): Promise<unknown> {
  // What a page sends without asking first is never of this type.
  if (!/^application\/json\b/i.test(context.req.header('content-type') ?? ''))
    throw new ApiError('the body must have the content type application/json', { status: 415 });
  const text = await context.req.text();
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ApiError(`the body is no JSON: ${(error as Error).message}`);
  }
}
