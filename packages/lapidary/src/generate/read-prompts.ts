import type { ChatMessage } from '@lapidary/gemma';
import { DatasetError, decodeText, EmptyDatasetError, imagesOf, parseRow, readRows } from '@lapidary/trainer';
import type { ByteSource } from '@lapidary/weights';

/** One prompt of several. */
export interface Prompt {
  /** A text that goes as the model is spoken to; a conversation is one whatever was asked for. */
  readonly prompt: string | readonly ChatMessage[];
  /** Paths of the pictures that it is about, or what is in them. */
  readonly images: readonly (string | Blob | Uint8Array)[];
}

/** What stands in for the answer that a row of training would have. */
const anyAnswer = 'x';

const isModel = ({ role }: ChatMessage) => role === 'model' || role === 'assistant';

/**
 * The prompts of a file: of a .txt, and of other text that does not begin as JSON where `isNamed` is false, one a line; else of rows with
 * a `prompt`, or `messages` up to the last turn that is not the model's. @throws DatasetError naming file and line
 */
export async function readPrompts(source: ByteSource, { isNamed = true } = {}): Promise<Prompt[]> {
  const prompts: Prompt[] = [];
  if (await isPlain(source, isNamed)) prompts.push(...(await readLines(source)));
  else for await (const { value, line } of readRows(source)) prompts.push(promptOf(value, source.name, line));
  if (prompts.length > 0) return prompts;
  throw new EmptyDatasetError({ file: source.name, message: 'there are no prompts' });
}

async function isPlain(source: ByteSource, isNamed: boolean): Promise<boolean> {
  if (isNamed) return /\.txt$/i.test(source.name);
  const head = new TextDecoder().decode(await source.read(0, Math.min(source.size, 64)));
  return !/^\s*[[{]/.test(head);
}

/** Lines that are not blank. */
async function readLines(source: ByteSource): Promise<Prompt[]> {
  const lines = decodeText(await source.read(0, source.size), source.name).split(/\r?\n/);
  return lines.filter((line) => line.trim() !== '').map((prompt) => ({ prompt, images: [] }));
}

function promptOf(value: unknown, file: string, line: number): Prompt {
  const fail = (message: string): never => {
    throw new DatasetError({ file, line, message });
  };
  const isPrompt = typeof value === 'object' && value !== null && 'prompt' in value;
  const row = parseRow(isPrompt ? { ...value, completion: anyAnswer } : value, file, line);
  if ('messages' in row) {
    if (row.chat_template_kwargs)
      fail("field 'chat_template_kwargs': it is said of all prompts alike, by --chat-template-kwargs");
    if (row.tools) fail("field 'tools': functions are offered to all prompts alike, by --tools");
    const said = row.messages.slice(0, row.messages.findLastIndex((message) => !isModel(message)) + 1);
    if (said.length === 0) fail("field 'messages': nobody but the model says anything");
    return { prompt: said, images: imagesOf({ ...row, messages: said }) };
  }
  if (!('prompt' in row)) return fail("a prompt is a row with 'prompt', or 'messages'");
  if (row.prompt === '') fail("field 'prompt': must not be empty");
  return { prompt: row.prompt, images: imagesOf(row) };
}
