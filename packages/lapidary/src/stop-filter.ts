import { heldBack } from '@lapidary/gemma';

/** Lets text through until one of the stop texts comes; what may be the beginning of one waits. */
export interface StopFilter {
  /** True once a stop text has come: nothing follows. */
  readonly stopped: boolean;
  push(part: string): string;
  /** What still waits. */
  flush(): string;
}

export function createStopFilter(stop: readonly string[]): StopFilter {
  const texts = stop.filter((text) => text !== '');
  let waiting = '';
  let stopped = false;
  const take = (length: number) => {
    const taken = waiting.slice(0, length);
    waiting = waiting.slice(length);
    return taken;
  };
  return {
    get stopped() {
      return stopped;
    },
    push(part) {
      if (stopped) return '';
      waiting += part;
      const found = texts.map((text) => waiting.indexOf(text)).filter((at) => at >= 0);
      if (found.length > 0) {
        stopped = true;
        const before = waiting.slice(0, Math.min(...found));
        waiting = '';
        return before;
      }
      return take(waiting.length - heldBack(waiting, texts));
    },
    flush: () => take(waiting.length),
  };
}
