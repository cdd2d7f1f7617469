import { callStarts } from './function-calls.js';
import { heldBack } from './markers.js';

// What a model thinks before it answers stands between marks: in prompts, in answers, and in conversations that are learned.

/** Begins a channel; its name and a line end follow. */
const channelStart = '<|channel>';
/** Begins a thought. */
export const thoughtStart = `${channelStart}thought\n`;
export const thoughtEnd = '<channel|>';
/** Both are tokens of their own. */
export const thoughtMarks: readonly string[] = [channelStart, thoughtEnd];

/** Whether an answer to the prompt begins within a thought. */
export const opensThought = (prompt: string): boolean => prompt.endsWith(thoughtStart);

/** A prompt without the thought that it opens for the model, or without the empty one that it ends with, so that the model does not think. */
export function withoutOpenThought(prompt: string): string {
  const at = prompt.lastIndexOf(thoughtStart);
  const isOpen = at >= 0 && ['', thoughtEnd].includes(prompt.slice(at + thoughtStart.length));
  return isOpen ? prompt.slice(0, at) : prompt;
}

/** An answer in two parts. */
export interface AnswerParts {
  /** What it says, calls included. */
  readonly content: string;
  /** What was thought before, without the marks around it. */
  readonly thoughts: string;
}

/** What ends a thought; a call does, too, and is none of it. The line end before the mark is not of the thought either. */
const ends = [`\n${thoughtEnd}`, thoughtEnd, ...callStarts];

/** Tells what an answer says from what it thinks, as it comes; what may be the beginning of a mark waits. */
export function createThoughtFilter(): { push(part: string): AnswerParts; flush(): AnswerParts } {
  let state: 'says' | 'opens' | 'thinks' = 'says';
  let waiting = '';
  const take = (isWhole: boolean): AnswerParts => {
    const told = { content: '', thoughts: '' };
    for (;;) {
      // The name of the channel, of which nothing is told.
      const marks = state === 'says' ? [channelStart] : state === 'opens' ? ['\n', thoughtEnd] : ends;
      const part = state === 'says' ? 'content' : 'thoughts';
      const [first] = marks
        .map((mark) => ({ mark, at: waiting.indexOf(mark) }))
        .filter(({ at }) => at >= 0)
        .sort((a, b) => a.at - b.at);
      if (first === undefined) {
        const length = state === 'opens' ? 0 : waiting.length - (isWhole ? 0 : heldBack(waiting, marks));
        told[part] += waiting.slice(0, length);
        waiting = isWhole ? '' : waiting.slice(length);
        return told;
      }
      if (state !== 'opens') told[part] += waiting.slice(0, first.at);
      const isCall = callStarts.includes(first.mark);
      waiting = waiting.slice(first.at + (isCall ? 0 : first.mark.length));
      state = state === 'says' ? 'opens' : first.mark === '\n' ? 'thinks' : 'says';
    }
  };
  return {
    push(part) {
      waiting += part;
      return take(false);
    },
    flush: () => take(true),
  };
}

/** An answer that is there as a whole; a thought that only ends in it began in its prompt. */
export function splitThoughts(answer: string): AnswerParts {
  const filter = createThoughtFilter();
  const [start, end] = [answer.indexOf(channelStart), answer.indexOf(thoughtEnd)];
  const isWithin = end >= 0 && (start < 0 || end < start);
  const [first, rest] = [filter.push(isWithin ? thoughtStart + answer : answer), filter.flush()];
  return { content: first.content + rest.content, thoughts: first.thoughts + rest.thoughts };
}
