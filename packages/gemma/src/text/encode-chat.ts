import { ChatTemplateError, type ChatMessage, type ChatTools, turnsOfModel, withFoldedSystem } from './chat-message.js';
import type { ChatTemplate, RenderedChat, TemplateOptions } from './chat-template.js';
import { specialTexts, type Tokenizer } from './tokenizer.js';

type Render = (messages: readonly ChatMessage[], addGenerationPrompt?: boolean) => RenderedChat;

/** How a conversation is encoded. */
export interface EncodeChatOptions {
  /** For a tokenizer that came without one: `PromptForm.chatTemplate`. */
  readonly template: ChatTemplate;
  /** Tokens that end a turn or a text: the model learns to write them. */
  readonly stopTokens: readonly number[];
  readonly tools?: ChatTools;
}

/** A conversation as tokens. */
export interface EncodedChat {
  readonly tokens: number[];
  /** What the model is to learn: its own turns with their ends. */
  readonly lossMask: boolean[];
  /** The template knows no system, so that its message stands before the first user's. */
  readonly systemFolded: boolean;
}

/**
 * Token ids of a conversation, and which of them the model is to learn. The template says which: by `{% generation %}`, as in
 * transformers; else a turn of the model is what the template writes for the conversation with it, beyond what it writes for the one
 * before it with the opening of an answer. What a message says is never searched for marks.
 * @throws ChatTemplateError for what the template cannot express, or where it does not tell whose text is whose
 */
export function encodeChat(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: EncodeChatOptions,
): EncodedChat {
  const { text, messages: given, spans, systemFolded } = renderTurns(tokenizer, messages, options);
  const turns = turnsOfModel(given);
  // With marks of its own a template may mark more or less than turns; weights then have no turn to stand for.
  const weighs = turns.some((i) => given[i]!.weight === 0);
  if (weighs && spans.length !== turns.length)
    throw new ChatTemplateError(
      -1,
      `the chat template marks ${spans.length} generations in a conversation with ${turns.length} turns of the model, so 'weight' cannot be told whose it is`,
    );
  const learned = spans.filter((_, i) => !weighs || given[turns[i]!]!.weight !== 0);
  return { ...tokensOf(tokenizer, text, learned), systemFolded };
}

/**
 * The last turn of the model as it reads where the model writes it: calls as the template has them, without the token that ends the answer.
 * @throws ChatTemplateError as `encodeChat`
 */
export function lastAnswer(tokenizer: Tokenizer, messages: readonly ChatMessage[], options: EncodeChatOptions): string {
  const through = messages.slice(0, (turnsOfModel(messages).at(-1) ?? -1) + 1);
  const { text, spans } = renderTurns(tokenizer, through, options);
  const ids = tokenizer.encode(text.slice(...spans.at(-1)!), { addSpecialTokens: false });
  return tokenizer.decode(ids.filter((id) => !options.stopTokens.includes(id)));
}

/** Token ids of a conversation that the model is to go on with. @throws ChatTemplateError */
export function encodeChatPrompt(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: EncodeChatOptions,
): number[] {
  const { rendered } = renderMessages(rendererOf(tokenizer, options), messages, true);
  return tokenizer.encode(rendered.text, { addSpecialTokens: false });
}

/** A conversation as one text, by the template the tokenizer came with, or the model's own. @throws ChatTemplateError */
export function renderChat(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: Pick<EncodeChatOptions, 'template' | 'tools'> & Pick<TemplateOptions, 'addGenerationPrompt'>,
): string {
  return renderMessages(rendererOf(tokenizer, options), messages, options.addGenerationPrompt).rendered.text;
}

/** Renders as the tokenizer's template does, or else `template`, with the tokenizer's own marks. */
function rendererOf(tokenizer: Tokenizer, { template, tools }: Pick<EncodeChatOptions, 'template' | 'tools'>): Render {
  const render = tokenizer.applyChatTemplate ?? template;
  const options = { ...specialTexts(tokenizer), ...(tools && { tools }) };
  return (messages, addGenerationPrompt = false) => render(messages, { ...options, addGenerationPrompt });
}

/** The conversation as one text, and [from, to) of the model's turns in it. */
function renderTurns(tokenizer: Tokenizer, messages: readonly ChatMessage[], options: EncodeChatOptions) {
  const render = rendererOf(tokenizer, options);
  const { rendered, ...given } = renderMessages(render, messages);
  const { text } = rendered;
  const stopTexts = options.stopTokens.map((id) => tokenizer.decode([id], { skipSpecialTokens: false }));
  return { ...given, text, spans: rendered.generated ?? spansOf(render, given.messages, text, stopTexts) };
}

/** The conversation as the template writes it; where that fails, with its system message before the first user's. */
function renderMessages(
  render: Render,
  messages: readonly ChatMessage[],
  addGenerationPrompt = false,
): { rendered: RenderedChat; messages: readonly ChatMessage[]; systemFolded: boolean } {
  try {
    return { rendered: render(messages, addGenerationPrompt), messages, systemFolded: false };
  } catch (error) {
    const folded = error instanceof ChatTemplateError ? withFoldedSystem(messages) : undefined;
    if (folded === undefined) throw error;
    try {
      return { rendered: render(folded, addGenerationPrompt), messages: folded, systemFolded: true };
    } catch {
      throw error;
    }
  }
}

/** [from, to) of the model's turns in the text of the whole conversation, which must begin as those of its parts do. */
function spansOf(
  render: Render,
  messages: readonly ChatMessage[],
  text: string,
  stopTexts: readonly string[],
): (readonly [number, number])[] {
  return turnsOfModel(messages).map((i) => {
    const before = i === 0 ? '' : render(messages.slice(0, i), true).text;
    const through = render(messages.slice(0, i + 1)).text;
    if (!through.startsWith(before) || !text.startsWith(through))
      throw new ChatTemplateError(
        i,
        `the chat template writes what is before or in message ${i + 1} otherwise when the conversation goes on, so it does not tell which text is the model's; mark it with {% generation %} … {% endgeneration %} in the template`,
      );
    return [before.length, endOfTurn(text, [before.length, through.length], stopTexts)] as const;
  });
}

/**
 * The end of a turn without the blank that separates it from the next: an answer ends with the token that stops it. After a call that may be
 * the mark that opens the response, and stand in the text of the next message.
 */
function endOfTurn(text: string, [from, to]: readonly [number, number], stopTexts: readonly string[]): number {
  const turn = text.slice(from, to);
  const ends = stopTexts.flatMap((stop) => {
    const at = turn.lastIndexOf(stop);
    return at >= 0 && turn.slice(at + stop.length).trim() === '' ? [from + at + stop.length] : [];
  });
  if (ends.length > 0) return Math.max(...ends);
  return to + (stopTexts.find((stop) => text.startsWith(stop, to))?.length ?? 0);
}

/** The tokens of the whole text, and which of them stand, in part at least, within a span. */
function tokensOf(
  tokenizer: Tokenizer,
  text: string,
  spans: readonly (readonly [number, number])[],
): { tokens: number[]; lossMask: boolean[] } {
  const encode = (part: string) => tokenizer.encode(part, { addSpecialTokens: false });
  const tokens = encode(text);
  const lossMask = tokens.map(() => false);
  const cuts = spans.flat();
  const parts = [0, ...cuts].map((from, i) => encode(text.slice(from, cuts[i] ?? text.length)));
  // Where a turn begins and ends with tokens of its own, as with Gemma's marks, the parts' tokens are those of the whole.
  const isWhole =
    parts.reduce((sum, { length }) => sum + length, 0) === tokens.length &&
    parts.flat().every((id, i) => id === tokens[i]);
  const places = isWhole ? undefined : placesOf(tokenizer, text, tokens);
  let first = 0;
  spans.forEach(([from, to], i) => {
    if (places === undefined) {
      first += parts[2 * i]!.length;
      const count = parts[2 * i + 1]!.length;
      lossMask.fill(true, first, first + count);
      first += count;
    } else {
      places.forEach(([start, end], at) => {
        if (start < to && end > from) lossMask[at] = true;
      });
    }
  });
  return { tokens, lossMask };
}

/** [from, to) of each token in the text; the bytes of one character are all of it. @throws ChatTemplateError where the tokens are not the text again */
function placesOf(tokenizer: Tokenizer, text: string, tokens: readonly number[]): [number, number][] {
  const decode = (ids: readonly number[]) => tokenizer.decode(ids, { skipSpecialTokens: false });
  const places: [number, number][] = [];
  let from = 0;
  let run: number[] = [];
  for (const id of tokens) {
    run.push(id);
    const read = decode(run);
    if (!text.startsWith(read, from)) continue;
    const place: [number, number] = [from, from + read.length];
    places.push(...run.map(() => place));
    from += read.length;
    run = [];
  }
  if (run.length > 0 || from !== text.length)
    throw new ChatTemplateError(
      -1,
      'the tokenizer changes the text of this conversation, so it does not tell which tokens are the model’s',
    );
  return places;
}
