import { contentText, splitThoughts } from '@lapidary/gemma';
import { ConfigError, runFile, type ConfigProblem } from '@lapidary/trainer';
import { bufferSource } from '@lapidary/weights';
import type { CliContext } from '../cli-context.js';
import type { GenerateRequest } from '../engine.js';
import type { ManyAnswer } from '../generate/answer-many.js';
import { readPrompts, type Prompt } from '../generate/read-prompts.js';
import { UsageError } from '../usage-error.js';
import { countRule, readAnswerFlags, readNumber, type AnswerValues } from './answer-flags.js';
import { readTrainedRows, rowsForms } from './rows-form.js';
import { readTemplateKwargs } from './read-template-kwargs.js';
import { readTools } from './read-tools.js';
import { createTeller } from './tell-answer.js';
import { readQuantize } from './quantize-flag.js';

export interface GenerateValues extends AnswerValues {
  readonly model?: string;
  readonly adapter?: string;
  readonly anyBase?: boolean;
  readonly quantize?: string;
  readonly best?: boolean;
  readonly prompts?: string;
  readonly n?: string;
  readonly rows?: string;
  readonly image?: readonly string[];
  readonly raw?: boolean;
  readonly chat?: boolean;
  readonly tools?: string;
  readonly json?: boolean;
}

/** Characters of a prompt that stand above its answer. */
const longestHead = 100;

/**
 * Answers a prompt, or many; the text of one comes as it is made, of many one after the other; with `--json` each as an object. What was
 * thought before is no part of an answer's text, unless that is a text that goes on as it stands.
 */
export async function generate(
  promptArgument: string | undefined,
  values: GenerateValues,
  context: CliContext,
): Promise<void> {
  const request = await readRequest(promptArgument, values, context);
  const { prompts, samples } = request;
  const isJson = values.json === true;
  const isOne = prompts.length * samples === 1;
  const isRaw = request.chat === false;
  const teller = isRaw ? { push: context.out, end: () => undefined } : createTeller(context);
  const onText = (text: string) => {
    if (isOne && !isJson) teller.push(text);
  };
  const onAnswer = (answer: ManyAnswer) => {
    const { prompt } = prompts[answer.index]!;
    const { content: text, thoughts } = isRaw ? { content: answer.text, thoughts: '' } : splitThoughts(answer.text);
    const told = { ...answer, ...(thoughts !== '' && { thoughts }), text, prompt };
    if (isJson) context.out(`${JSON.stringify(told)}\n`);
    else if (!isOne) context.out(`${headOf(answer, prompt, samples)}\n${text}\n\n`);
  };
  const onNotice = (notice: string) => context.err(`${notice}\n`);
  const began = performance.now();
  const answers = await context.engine.generate(request, { onText, onAnswer, onNotice, signal: context.signal });
  if (isJson) return;
  if (isOne) teller.end();
  if (isOne) context.out('\n');
  const tokens = answers.reduce((sum, answer) => sum + answer.tokens, 0);
  const seconds = isOne ? answers[0]!.seconds : (performance.now() - began) / 1000;
  const counted = isOne ? '' : `${answers.length} answers, `;
  context.err(`${counted}${tokens} tokens, ${(tokens / seconds).toFixed(1)} a second\n`);
}

/** Which answer it is, and to what: `2.1 Why is the sky blue?` */
function headOf({ index, sample }: ManyAnswer, prompt: Prompt['prompt'], samples: number): string {
  const text = typeof prompt === 'string' ? prompt : (contentText(prompt.at(-1)!, prompt.length - 1, '') ?? '');
  const line = text.replace(/\s+/g, ' ').trim();
  const shown = line.length > longestHead ? `${line.slice(0, longestHead - 1)}…` : line;
  return `${index + 1}${samples > 1 ? `.${sample + 1}` : ''} ${shown}`;
}

async function readRequest(
  promptArgument: string | undefined,
  values: GenerateValues,
  context: CliContext,
): Promise<GenerateRequest> {
  const settings = readAnswerFlags(values);
  if (values.model === undefined)
    throw new UsageError({ message: '--model must be given.', hint: 'lapidary generate --help shows all options.' });
  if (values.best && values.adapter === undefined)
    throw new UsageError({ message: '--best needs --adapter.', hint: "--adapter names a run's folder then." });
  const problems: ConfigProblem[] = [];
  const samples = readNumber(problems, '--n', values.n, countRule) ?? 1;
  const rows = readNumber(problems, '--rows', values.rows, countRule) ?? 4;
  if (problems.length > 0) throw new ConfigError({ problems, subject: 'The command' });
  const given = await readGiven(promptArgument, values, context);
  const prompts = given.map(({ prompt, images }) => ({ prompt, images: [...(values.image ?? []), ...images] }));
  const tools = await readTools(values.tools, context);
  const chatTemplateKwargs = readTemplateKwargs(values.chatTemplateKwargs);
  const templateFlag = tools ? '--tools' : chatTemplateKwargs && '--chat-template-kwargs';
  if (templateFlag && values.raw)
    throw new UsageError({
      message: `${templateFlag} needs the chat template, which --raw leaves out.`,
      hint: `Give one of --raw and ${templateFlag}.`,
    });
  return {
    model: values.model,
    adapter: values.adapter ?? null,
    anyBase: values.anyBase,
    quantize: readQuantize(values.quantize),
    best: values.best === true,
    prompts,
    samples,
    rows,
    // The chat template alone takes them.
    ...(templateFlag ? { chat: true } : await choosePromptForm(values, context)),
    ...(tools && { tools }),
    ...(chatTemplateKwargs && { chatTemplateKwargs }),
    ...settings,
  };
}

/** The prompt, or those of a file. */
async function readGiven(
  argument: string | undefined,
  { prompts: file }: GenerateValues,
  context: CliContext,
): Promise<readonly Prompt[]> {
  if (file !== undefined && argument !== undefined)
    throw new UsageError({
      message: 'Give one of a prompt and --prompts.',
      hint: 'lapidary generate --help shows all options.',
    });
  if (file === '-') {
    const bytes = new TextEncoder().encode(await context.readInput());
    return readPrompts(bufferSource('standard input', bytes), { isNamed: false });
  }
  if (file !== undefined) return context.engine.readPrompts(file);
  const prompt = argument === undefined || argument === '-' ? (await context.readInput()).replace(/\n$/, '') : argument;
  if (prompt === '')
    throw new UsageError({
      message: 'The prompt is empty.',
      hint: "Give it as an argument, or pipe it in: echo 'Hello' | lapidary generate --model …",
    });
  return [{ prompt, images: [] }];
}

/**
 * Whether the prompt goes into the chat template, and with what: as the flags say, else as the adapter was trained, which is told; else as
 * the model came.
 */
async function choosePromptForm(
  { raw, chat, adapter }: GenerateValues,
  context: CliContext,
): Promise<Pick<GenerateRequest, 'chat' | 'chatTemplateKwargs'>> {
  if (raw && chat)
    throw new UsageError({
      message: 'Give one of --raw and --chat.',
      hint: 'lapidary generate --help shows all options.',
    });
  if (raw) return { chat: false };
  const { form: rows, kwargs } = adapter === undefined ? {} : await readTrainedRows(adapter, context);
  const how = kwargs && { chatTemplateKwargs: kwargs };
  const tellKwargs = () => {
    if (kwargs) context.err(`As in its training: --chat-template-kwargs '${JSON.stringify(kwargs)}'.\n`);
  };
  if (chat) {
    tellKwargs();
    return { chat: true, ...how };
  }
  if (adapter === undefined) return { chat: null };
  const form = rows && rowsForms[rows];
  const trained = form
    ? `The adapter was trained on ${form.rows}`
    : `There is no ${runFile} beside the adapter, so what it was trained on is not known`;
  const used = !form
    ? 'the prompt goes into the chat template if the model came with one (--chat, --raw)'
    : form.isChat
      ? 'the prompt goes into the chat template (--raw continues it as it stands)'
      : 'the prompt is continued as it stands (--chat puts it into the chat template)';
  context.err(`${trained}: ${used}.\n`);
  if (form?.isChat) tellKwargs();
  return { chat: form?.isChat ?? null, ...(form?.isChat && how) };
}
