import { describeValue, ConfigError, type ConfigProblem } from '@lapidary/trainer';
import type { CliContext } from '../cli-context.js';
import { readBytes } from '../read-bytes.js';
import { UsageError } from '../usage-error.js';
import { countRule, readNumber } from './answer-flags.js';
import { nameAdapters } from './name-adapters.js';
import { readTemplateKwargs } from './read-template-kwargs.js';
import { readQuantize } from './quantize-flag.js';

export interface ServeValues {
  readonly adapter?: readonly string[];
  readonly anyBase?: boolean;
  readonly quantize?: string;
  readonly name?: string;
  readonly host?: string;
  readonly port?: string;
  readonly apiKey?: string;
  readonly cors?: readonly string[];
  readonly rows?: string;
  readonly context?: string;
  readonly maxBody?: string;
  readonly chatTemplateKwargs?: string;
  readonly json?: boolean;
}

const localNames = ['127.0.0.1', '::1', 'localhost'];
/** How long answers that are being made may take when the server is stopped, ms. */
const patienceMs = 10_000;

/** Answers over HTTP as OpenAI's API does, until it is stopped. */
export async function serve(model: string, values: ServeValues, context: CliContext): Promise<void> {
  const hint = 'lapidary serve --help shows all options.';
  const problems: ConfigProblem[] = [];
  const rows = readNumber(problems, '--rows', values.rows, countRule) ?? 4;
  const maxLength = readNumber(problems, '--context', values.context, countRule) ?? 4096;
  const isPort = (value: number) => Number.isInteger(value) && value >= 0 && value < 65536;
  const port =
    readNumber(problems, '--port', values.port, { isAllowed: isPort, allowed: 'a port, or 0 for any free one' }) ??
    8000;
  const largestBody = readBytes(values.maxBody ?? '20MiB');
  if (largestBody === undefined || largestBody < 1)
    problems.push({ path: '--max-body', found: describeValue(values.maxBody), allowed: 'a size such as 20MiB' });
  const origins = values.cors ?? [];
  for (const origin of origins)
    if (origin !== '*' && !isOrigin(origin))
      problems.push({
        path: '--cors',
        found: describeValue(origin),
        allowed: 'an origin such as http://localhost:5173, or *',
      });
  if (problems.length > 0) throw new ConfigError({ problems, subject: 'The command' });
  const host = values.host ?? '127.0.0.1';
  const isLocal = localNames.includes(host);
  const apiKey = values.apiKey ?? process.env['LAPIDARY_API_KEY'];
  if (apiKey?.trim() === '') throw new UsageError({ message: 'The API key is empty.', hint });
  if (!isLocal && apiKey === undefined)
    throw new UsageError({
      message: `--host ${host} can be reached from elsewhere: that needs an API key.`,
      hint: 'Set LAPIDARY_API_KEY (or give --api-key, which other users of this machine can see).',
    });
  const quantize = readQuantize(values.quantize);
  const adapters = nameAdapters(values.adapter ?? []);
  const modelName = values.name ?? nameOf(model);
  if (modelName in adapters)
    throw new UsageError({
      message: `Model and adapter are both called ${modelName}.`,
      hint: 'Name the model with --name, or the adapter: --adapter name=folder.',
    });
  const chatTemplateKwargs = readTemplateKwargs(values.chatTemplateKwargs);
  const { listen } = await import('../serve/listen-node.js');
  const onNotice = (notice: string) => context.err(`Note: ${notice}\n`);
  const answerer = await context.engine.openAnswerer(
    { model, adapters, anyBase: values.anyBase, quantize, rows, maxLength },
    { onNotice, signal: context.signal },
  );
  try {
    context.signal.throwIfAborted();
    const listening = await listen(
      {
        answerer,
        modelName,
        apiKey,
        isLocal,
        chatTemplateKwargs,
        origins,
        largestBody: largestBody!,
        mostAnswers: 128 + 32 * rows,
        onError: (error) =>
          context.err(`error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`),
      },
      { host, port },
    );
    const models = [modelName, ...answerer.adapters];
    if (values.json) context.out(`${JSON.stringify({ url: listening.url, models })}\n`);
    context.err(`${models.join(', ')} at ${listening.url}/v1 until Ctrl-C\n`);
    if (!context.signal.aborted)
      await new Promise<void>((resolve) => context.signal.addEventListener('abort', () => resolve(), { once: true }));
    await listening.close(patienceMs);
  } finally {
    await answerer.close();
  }
}

/** `owner/name` of the hub as it is; of a path its last part. */
function nameOf(model: string): string {
  if (/^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(model)) return model;
  return (
    model
      .split(/[/\\]/)
      .filter((part) => part !== '' && part !== '.')
      .at(-1) ?? model
  );
}

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}
