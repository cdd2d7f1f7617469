import { callStarts, createThoughtFilter, readFunctionCalls, splitThoughts } from '@lapidary/gemma';
import { createStopFilter } from '../stop-filter.js';

/** A call in OpenAI's form. */
export interface ToldCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; readonly arguments: string };
}

/** An answer in its parts. */
export interface ToldAnswer {
  /** What it says; null where that is nothing beside thoughts or calls. */
  readonly content: string | null;
  /** What was thought before; empty where nothing was. */
  readonly thoughts: string;
  readonly calls: readonly ToldCall[];
}

/** What of an answer is told by itself, not as its text. */
export interface Telling {
  readonly thoughts: boolean;
  readonly calls: boolean;
}

/** The parts of an answer. Calls that are not as they should be, cut off ones too, are text. */
export function toldAnswer(text: string, tells: Telling): ToldAnswer {
  const { content: said, thoughts } = tells.thoughts ? splitThoughts(text) : { content: text, thoughts: '' };
  const read = tells.calls ? readFunctionCalls(said) : undefined;
  if (read === undefined) return { content: said === '' && thoughts !== '' ? null : said, thoughts, calls: [] };
  const calls = read.calls.map(
    (call): ToldCall => ({
      id: `call_${crypto.randomUUID().replaceAll('-', '')}`,
      type: 'function',
      function: { name: call.name, arguments: JSON.stringify(call.arguments) },
    }),
  );
  return { content: read.content || null, thoughts, calls };
}

/** A piece of an answer: either part may be empty. */
type ToldPiece = Pick<ToldAnswer, 'thoughts'> & { readonly content: string };

/** Lets an answer through as it comes, until a call may begin; from there on it waits for the end. */
export function createAnswerFilter(tells: Telling): { push(part: string): ToldPiece; end(): ToldAnswer } {
  const thinking = createThoughtFilter();
  const calling = createStopFilter(tells.calls ? callStarts : []);
  let waiting = '';
  const say = (content: string): string => {
    const told = calling.push(content);
    waiting = (waiting + content).slice(told.length);
    return told;
  };
  return {
    push(part) {
      if (!tells.thoughts) return { content: say(part), thoughts: '' };
      const { content, thoughts } = thinking.push(part);
      return { content: say(content), thoughts };
    },
    end() {
      const { content, thoughts } = thinking.flush();
      const told = say(content);
      return { ...toldAnswer(told + waiting, { ...tells, thoughts: false }), thoughts };
    },
  };
}
