import type { ChatMessage } from '@lapidary/gemma';
import type { CliContext, Terminal } from '../cli-context.js';
import { describeError } from '../describe-error.js';
import type { AnswerSettings, Chat } from '../engine.js';
import type { BesideQuestion } from '../encode-question.js';
import { exitCodes } from '../exit-codes.js';
import { UsageError } from '../usage-error.js';
import { readAnswerFlags, type AnswerValues } from './answer-flags.js';
import { nameAdapters } from './name-adapters.js';
import { readTemplateKwargs } from './read-template-kwargs.js';
import { readTools } from './read-tools.js';
import { createTeller } from './tell-answer.js';
import { readQuantize } from './quantize-flag.js';
import { readTrainedRows, rowsForms } from './rows-form.js';

export interface ChatValues extends AnswerValues {
  readonly model?: string;
  readonly adapter?: readonly string[];
  readonly anyBase?: boolean;
  readonly quantize?: string;
  readonly tools?: string;
  readonly json?: boolean;
}

const help = `/adapter <name>  answer with this adapter from now on; without a name: which there are
/base            answer with the model by itself
/image <file>    the next questions are about this picture, too
/reset           forget what was said, and pictures
/help            this list
/quit            end, as Ctrl-D; Ctrl-C ends an answer, or, where there is none, the conversation
`;

/** What answers are made with. */
type HowAnswered = AnswerSettings & Pick<BesideQuestion, 'tools' | 'chatTemplateKwargs'>;

/** A conversation, line by line: answers go to standard output, everything else, thoughts too, to standard error. */
export async function chat(values: ChatValues, context: CliContext): Promise<void> {
  const settings = readAnswerFlags(values);
  if (!values.model)
    throw new UsageError({ message: '--model must be given.', hint: 'lapidary chat --help shows all options.' });
  const chatTemplateKwargs = readTemplateKwargs(values.chatTemplateKwargs);
  const adapters = nameAdapters(values.adapter ?? []);
  const tools = await readTools(values.tools, context);
  const onNotice = (notice: string) => context.err(`Note: ${notice}\n`);
  for (const [name, folder] of Object.entries(adapters)) {
    const { form, kwargs } = await readTrainedRows(folder, context);
    if (kwargs !== undefined && chatTemplateKwargs === undefined)
      onNotice(
        `The adapter ${name} was trained with --chat-template-kwargs '${JSON.stringify(kwargs)}': give them to ask it so.`,
      );
    if (form !== undefined && !rowsForms[form].isChat)
      onNotice(
        `The adapter ${name} was trained on ${rowsForms[form].rows}, not on turns: lapidary generate asks it as it was trained.`,
      );
  }
  const opened = await context.engine.openChat(
    { model: values.model, adapters, anyBase: values.anyBase, quantize: readQuantize(values.quantize) },
    { onNotice, signal: context.signal },
  );
  const terminal = context.openTerminal();
  try {
    const talk = new Conversation(opened, { ...settings, tools, chatTemplateKwargs }, context, {
      isJson: values.json === true,
      terminal,
    });
    if (terminal.isTyped) context.err(`${talk.answerer} answers. /help lists what else there is.\n`);
    for (let line = await terminal.readLine(); line !== null; line = await terminal.readLine()) {
      if (!(await talk.take(line.trim()))) break;
    }
    context.signal.throwIfAborted();
  } finally {
    terminal.close();
    await opened.close();
  }
}

/** What was said, and who answers. */
class Conversation {
  readonly #chat: Chat;
  readonly #settings: HowAnswered;
  readonly #context: CliContext;
  readonly #terminal: Terminal;
  readonly #isJson: boolean;
  #adapter: string | null;
  #messages: ChatMessage[] = [];
  #images: Uint8Array[] = [];

  constructor(
    opened: Chat,
    settings: HowAnswered,
    context: CliContext,
    { isJson, terminal }: { readonly isJson: boolean; readonly terminal: Terminal },
  ) {
    this.#chat = opened;
    this.#settings = settings;
    this.#context = context;
    this.#terminal = terminal;
    this.#isJson = isJson;
    this.#adapter = opened.adapters[0] ?? null;
  }

  get answerer(): string {
    return this.#adapter === null ? 'The model by itself' : `The adapter ${this.#adapter}`;
  }

  /** False: that was the end. What goes wrong with a line is told, and the next one is waited for; bugs and signals end it all. */
  async take(line: string): Promise<boolean> {
    try {
      if (line.startsWith('/')) return await this.#command(line);
      if (line !== '') await this.#ask(line);
      return true;
    } catch (error) {
      const { exitCode, message } = describeError(error);
      if (exitCode !== exitCodes.userError || this.#context.signal.aborted) throw error;
      this.#tell(`error: ${message}`);
      return true;
    }
  }

  #tell(text: string): void {
    this.#context.err(`${text}\n`);
  }

  async #command(line: string): Promise<boolean> {
    const [, command, rest = ''] = /^(\S+)\s*(.*)$/.exec(line) ?? [];
    const { adapters } = this.#chat;
    switch (command) {
      case '/adapter':
        if (rest === '')
          this.#tell(
            adapters.length > 0 ? `Adapters: ${adapters.join(', ')}` : 'There are none; --adapter brings one.',
          );
        else if (adapters.includes(rest)) this.#choose(rest);
        else this.#tell(`No adapter is called ${rest}; there are: ${adapters.join(', ') || 'none'}.`);
        return true;
      case '/base':
        this.#choose(null);
        return true;
      case '/image':
        if (rest === '') this.#tell('/image needs the name of a file.');
        else if (!this.#chat.seesPictures) this.#tell('This model has no vision tower: it sees no pictures.');
        else {
          this.#images.push(await this.#chat.readImage(rest));
          this.#tell(`The next questions are about ${rest}, too; /reset forgets it.`);
        }
        return true;
      case '/reset':
        this.#messages = [];
        this.#images = [];
        this.#tell('All is forgotten.');
        return true;
      case '/help':
        this.#context.err(help);
        return true;
      case '/quit':
        return false;
      default:
        this.#tell(`There is no ${command}; /help lists what there is.`);
        return true;
    }
  }

  #choose(adapter: string | null): void {
    this.#adapter = adapter;
    this.#tell(`${this.answerer} answers from now on.`);
  }

  async #ask(question: string): Promise<void> {
    const said: ChatMessage[] = this.#chat.remembers ? this.#messages : [];
    const messages: ChatMessage[] = [...said, { role: 'user', content: question }];
    const adapter = this.#adapter;
    const silent = () => undefined;
    const teller = createTeller(this.#isJson ? { out: silent, err: silent } : this.#context);
    const stopped = await this.#terminal.interruptible(async (signal) => {
      try {
        const how = { ...this.#settings, adapter, images: this.#images, signal };
        const answer = this.#chat.answer(messages, how);
        let next = await answer.next();
        for (; !next.done; next = await answer.next()) teller.push(next.value);
        return next.value.stoppedBy;
      } catch (error) {
        if (error !== signal.reason || this.#context.signal.aborted) throw error;
        return 'interrupted';
      }
    });
    const { content: text, thoughts } = teller.end();
    const told = { adapter, ...(thoughts !== '' && { thoughts }), text, stoppedBy: stopped };
    this.#context.out(this.#isJson ? `${JSON.stringify(told)}\n` : '\n');
    // An answer of which nothing came was none: a conversation goes turn by turn.
    if (text !== '') this.#messages = [...messages, { role: 'model', content: text }];
  }
}
