import {
  ChatTemplateError,
  type ChatMessage,
  type ChatTemplateKwargs,
  type ChatTools,
  contentText,
  imageParts,
  turnsOfModel,
  withFoldedSystem,
} from './chat-message.js';
import type { ChatTemplate, RenderedChat, TemplateOptions } from './chat-template.js';
import { type PictureText, spreadPictures, writePictures } from './picture-text.js';
import { thoughtsIn } from './template-messages.js';
import { thoughtEnd, withoutOpenThought } from './thoughts.js';
import { specialTexts, type Tokenizer } from './tokenizer.js';

type Render = (messages: readonly ChatMessage[], addGenerationPrompt?: boolean) => RenderedChat;

/** How a conversation is encoded. */
export interface EncodeChatOptions {
  /** For a tokenizer that came without one: `PromptForm.chatTemplate`. */
  readonly template: ChatTemplate;
  /** Tokens that end a turn or a text: the model learns to write them. */
  readonly stopTokens: readonly number[];
  readonly tools?: ChatTools;
  readonly kwargs?: ChatTemplateKwargs;
  /** `PromptForm.pictureText`, for a model that sees pictures anywhere in a conversation. */
  readonly pictureText?: ((tokenizer: Tokenizer) => PictureText) | undefined;
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
 * before it with the opening of an answer. What a message says is never searched for marks. An empty thought that the opening of an answer
 * has, for a model that is not to think, is not learned; thoughts that the template leaves out of what is to be learned are refused.
 * @throws ChatTemplateError for what the template cannot express, or where it does not tell whose text is whose
 */
export function encodeChat(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: EncodeChatOptions,
): EncodedChat {
  const { text, messages: given, spans, systemFolded } = renderTurns(tokenizer, messages, options, isLearned);
  checkThoughts(given, spans.map(([from, to]) => text.slice(from, to)).join(''));
  const { tokens, lossMask } = tokensOf(tokenizer, text, spans);
  const pictures = pictureTextFor(tokenizer, messages, options);
  const spread = <V>(values: V[]) => (pictures ? spreadPictures(values, tokens, pictures) : values);
  return { tokens: spread(tokens), lossMask: spread(lossMask), systemFolded };
}

/** How the pictures of messages are written; undefined where there are none. */
function pictureTextFor(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  { pictureText }: Pick<EncodeChatOptions, 'pictureText'>,
): PictureText | undefined {
  return imageParts(messages).length > 0 ? pictureText?.(tokenizer) : undefined;
}

const isLearned = ({ weight }: ChatMessage) => weight !== 0;

/**
 * The last turn of the model as it reads where the model writes it: calls as the template has them, without the token that ends the answer.
 * @throws ChatTemplateError as `encodeChat`
 */
export function lastAnswer(tokenizer: Tokenizer, messages: readonly ChatMessage[], options: EncodeChatOptions): string {
  const last = turnsOfModel(messages).at(-1) ?? -1;
  const through = messages.slice(0, last + 1);
  const { text, spans } = renderTurns(tokenizer, through, options, (message) => message === through[last]);
  const ids = tokenizer.encode(text.slice(...spans.at(-1)!), { addSpecialTokens: false });
  return tokenizer.decode(ids.filter((id) => !options.stopTokens.includes(id)));
}

/** Token ids of a conversation that the model is to go on with. @throws ChatTemplateError */
export function encodeChatPrompt(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: EncodeChatOptions,
): number[] {
  const { rendered } = renderMessages(rendererOf(tokenizer, messages, options), messages, true);
  const tokens = tokenizer.encode(rendered.text, { addSpecialTokens: false });
  const pictures = pictureTextFor(tokenizer, messages, options);
  return pictures ? spreadPictures(tokens, tokens, pictures) : tokens;
}

/** A conversation as one text, by the template the tokenizer came with, or the model's own. @throws ChatTemplateError */
export function renderChat(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: Omit<EncodeChatOptions, 'stopTokens'> & Pick<TemplateOptions, 'addGenerationPrompt'>,
): string {
  return renderMessages(rendererOf(tokenizer, messages, options), messages, options.addGenerationPrompt).rendered.text;
}

/** Renders as the tokenizer's template does, or else `template`, with the tokenizer's own marks; the pictures of `all` written out. */
function rendererOf(
  tokenizer: Tokenizer,
  all: readonly ChatMessage[],
  given: Omit<EncodeChatOptions, 'stopTokens'>,
): Render {
  const { template, tools, kwargs } = given;
  const render = tokenizer.applyChatTemplate ?? template;
  const pictures = pictureTextFor(tokenizer, all, given);
  const options = {
    ...specialTexts(tokenizer),
    ...(tools && { tools }),
    ...(kwargs && { kwargs }),
    imageMark: pictures?.mark,
  };
  return (messages, addGenerationPrompt = false) => {
    const rendered = render(messages, { ...options, addGenerationPrompt });
    return pictures ? withPictures(rendered, pictures, imageParts(messages).length) : rendered;
  };
}

/** A conversation with its pictures written out. @throws PromptImagesError where it has other than `count` */
function withPictures({ text, generated }: RenderedChat, pictures: PictureText, count: number): RenderedChat {
  const marksBefore = (end: number) => text.slice(0, end).split(pictures.mark).length - 1;
  const grown = pictures.written.length - pictures.mark.length;
  const moved = (at: number) => at + grown * marksBefore(at);
  return {
    text: writePictures(text, pictures, count),
    ...(generated && { generated: generated.map(([from, to]) => [moved(from), moved(to)] as const) }),
  };
}

/** The conversation as one text, and [from, to) in it of those turns of the model that are wanted. */
function renderTurns(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: EncodeChatOptions,
  isWanted: (message: ChatMessage) => boolean,
) {
  const render = rendererOf(tokenizer, messages, options);
  const { rendered, ...given } = renderMessages(render, messages);
  const { text, generated } = rendered;
  const turns = turnsOfModel(given.messages);
  const wanted = turns.filter((i) => isWanted(given.messages[i]!));
  if (wanted.length === 0) return { ...given, text, spans: [] };
  if (generated === undefined) {
    const stopTexts = options.stopTokens.map((id) => tokenizer.decode([id], { skipSpecialTokens: false }));
    return { ...given, text, spans: wanted.flatMap((i) => spansOf(render, given.messages, i, { text, stopTexts })) };
  }
  const marked = joined(generated);
  if (wanted.length === turns.length) return { ...given, text, spans: marked };
  // With marks of its own a template may mark more or less than turns; what is wanted then has no turn to stand for.
  if (marked.length !== turns.length)
    throw new ChatTemplateError(
      -1,
      `the chat template marks ${marked.length} generations in a conversation with ${turns.length} turns of the model, so 'weight' cannot be told whose it is`,
    );
  return { ...given, text, spans: marked.filter((_, i) => wanted.includes(turns[i]!)) };
}

/** Spans that follow each other at once as one, without those of nothing. */
function joined(spans: readonly (readonly [number, number])[]): (readonly [number, number])[] {
  const all: (readonly [number, number])[] = [];
  for (const [from, to] of spans) {
    if (from === to) continue;
    const before = all.at(-1);
    if (before?.[1] === from) all[all.length - 1] = [before[0], to];
    else all.push([from, to]);
  }
  return all;
}

/** @throws ChatTemplateError for thoughts of a turn that is learned which are not in what is learned: others would be taught in their place */
function checkThoughts(messages: readonly ChatMessage[], learned: string): void {
  for (const i of turnsOfModel(messages)) {
    const message = messages[i]!;
    if (!isLearned(message)) continue;
    const thoughts = thoughtsIn(message);
    if (thoughts !== undefined && !learned.includes(thoughts.text.trim()))
      throw new ChatTemplateError(
        i,
        `message ${i + 1} has '${thoughts.name}', which the model's chat template leaves out, so it would be learned without; most templates write what was thought in the last turn alone: learn that one only (lossOn 'last', or weight 0 for others)`,
      );
    const said = contentText(message, i, '')?.trim() ?? '';
    if (said.includes(thoughtEnd) && !learned.includes(said))
      throw new ChatTemplateError(
        i,
        `message ${i + 1} has thoughts within its content, which the model's chat template leaves out: give them as 'reasoning_content'`,
      );
  }
}

/** The conversation as the template writes it; where that fails, with its system message before the first user's. */
function renderMessages(
  render: Render,
  messages: readonly ChatMessage[],
  addGenerationPrompt = false,
): { rendered: RenderedChat; messages: readonly ChatMessage[]; systemFolded: boolean } {
  if (messages.length === 0) throw new ChatTemplateError(-1, 'there are no messages');
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

/** [from, to) of a turn of the model in the text of the whole conversation, which must begin as those of its parts do. */
function spansOf(
  render: Render,
  messages: readonly ChatMessage[],
  i: number,
  { text, stopTexts }: { readonly text: string; readonly stopTexts: readonly string[] },
): (readonly [number, number])[] {
  return answersOf(messages, i).map(([asked, answered]) => {
    const before = openingOf(render, asked);
    const through = render(answered).text;
    // What opens an answer may open a thought as well, or an empty one in place of it, which the turn itself has no more.
    const opening = [before, withoutOpenThought(before)].find((each) => through.startsWith(each));
    if (opening === undefined || !text.startsWith(through)) throw ambiguous(messages, i);
    return [opening.length, endOfTurn(text, [opening.length, through.length], stopTexts)] as const;
  });
}

/** The conversations before and after each answer of a turn: one that has the responses to its calls within it is two. */
function answersOf(messages: readonly ChatMessage[], i: number): (readonly [ChatMessage[], ChatMessage[]])[] {
  const before = messages.slice(0, i);
  const { tool_responses: responses, ...turn } = messages[i]!;
  if (!responses?.length) return [[before, [...before, turn]]];
  const said = contentText(turn, i) ?? '';
  const calling = { ...turn, content: '' };
  const answers: [ChatMessage[], ChatMessage[]][] = [[before, [...before, calling]]];
  if (said !== '') {
    const responded = { ...calling, tool_responses: responses };
    answers.push([
      [...before, responded],
      [...before, { ...responded, content: said }],
    ]);
  }
  return answers;
}

/** What stands before an answer. */
function openingOf(render: Render, messages: readonly ChatMessage[]): string {
  if (messages.length > 0) return render(messages, true).text;
  try {
    return render([], true).text;
  } catch {
    // Many templates ask for the first message: then what they write of themselves is learned, too.
    return '';
  }
}

/** Why a template does not tell whose text is whose. */
function ambiguous(messages: readonly ChatMessage[], i: number): ChatTemplateError {
  const { tool_calls: calls, content } = messages[i]!;
  const otherwise = `the chat template writes what is before or in message ${i + 1} otherwise when the conversation goes on`;
  if (messages.slice(0, i + 1).some((message) => thoughtsIn(message) !== undefined))
    return new ChatTemplateError(
      i,
      `${otherwise}: most templates leave out what was thought in earlier turns; learn the last turn only (lossOn 'last', or weight 0 for others)`,
    );
  if ((calls?.length ?? 0) > 0 && content)
    return new ChatTemplateError(
      i,
      `${otherwise}: it says something beside its calls, which some templates write behind the responses; leave out one of the two, or learn the last turn only (lossOn 'last', or weight 0 for others)`,
    );
  return new ChatTemplateError(
    i,
    `${otherwise}, so it does not tell which text is the model's; mark it with {% generation %} … {% endgeneration %} in the template`,
  );
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
