import { createThoughtFilter, type AnswerParts } from '@lapidary/gemma';
import type { CliContext } from '../cli-context.js';

/** Tells an answer as it is made: what it says on standard output, what was thought before on standard error, where people see it too. */
export function createTeller({ out, err }: Pick<CliContext, 'out' | 'err'>): {
  push(text: string): void;
  /** @returns the whole answer in its parts */
  end(): AnswerParts;
} {
  const filter = createThoughtFilter();
  let [content, thoughts] = ['', ''];
  let isThinking = false;
  const tell = (part: AnswerParts) => {
    if (part.thoughts !== '') {
      err(isThinking ? part.thoughts : `Thinking …\n${part.thoughts}`);
      isThinking = true;
    }
    if (part.content !== '') {
      if (isThinking) err('\n\n');
      isThinking = false;
      out(part.content);
    }
    content += part.content;
    thoughts += part.thoughts;
  };
  return {
    push: (text) => tell(filter.push(text)),
    end() {
      tell(filter.flush());
      return { content, thoughts };
    },
  };
}
