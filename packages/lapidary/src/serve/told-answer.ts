import { callStart, readFunctionCalls } from '@lapidary/gemma';
import { createStopFilter } from '../stop-filter.js';

/** A call in OpenAI's form. */
export interface ToldCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; readonly arguments: string };
}

/** An answer in two parts: what it says, null where that is nothing beside calls, and what it calls. */
export interface ToldAnswer {
  readonly content: string | null;
  readonly calls: readonly ToldCall[];
}

/** The parts of an answer. Calls that are not as they should be, cut off ones too, are text. */
export function toldAnswer(text: string, tellsCalls: boolean): ToldAnswer {
  const read = tellsCalls ? readFunctionCalls(text) : undefined;
  if (read === undefined) return { content: text, calls: [] };
  const calls = read.calls.map(
    (call): ToldCall => ({
      id: `call_${crypto.randomUUID().replaceAll('-', '')}`,
      type: 'function',
      function: { name: call.name, arguments: JSON.stringify(call.arguments) },
    }),
  );
  return { content: read.content || null, calls };
}

/** Lets an answer through as it comes, until a call may begin; from there on it waits for the end. */
export function createCallFilter(tellsCalls: boolean): { push(part: string): string; end(): ToldAnswer } {
  const filter = createStopFilter(tellsCalls ? [callStart] : []);
  let waiting = '';
  return {
    push(part) {
      const told = filter.push(part);
      waiting = (waiting + part).slice(told.length);
      return told;
    },
    end: () => toldAnswer(waiting, tellsCalls),
  };
}
