import { mixWords } from '../data/mix-words.js';

const factor = 0x9e3779b1;

/**
 * A hash of 64 bits of words, which may come in pieces: every fourth word is mixed into one of four lanes, which a processor computes at
 * the same time, so that loading does not wait for it. A word, a factor and a turn change a lane one to one: no single change is lost.
 */
export class WeightHash {
  #a = 0;
  #b = 1;
  #c = 2;
  #d = 3;
  #words = 0;

  update(words: Uint32Array): void {
    let i = 0;
    while ((this.#words & 3) !== 0 && i < words.length) this.#step(words[i++]!);
    const end = i + ((words.length - i) & ~3);
    this.#words += end - i;
    let [a, b, c, d] = [this.#a, this.#b, this.#c, this.#d];
    for (; i < end; i += 4) {
      a = Math.imul(a ^ words[i]!, factor);
      b = Math.imul(b ^ words[i + 1]!, factor);
      c = Math.imul(c ^ words[i + 2]!, factor);
      d = Math.imul(d ^ words[i + 3]!, factor);
      a = (a << 13) | (a >>> 19);
      b = (b << 13) | (b >>> 19);
      c = (c << 13) | (c >>> 19);
      d = (d << 13) | (d >>> 19);
    }
    [this.#a, this.#b, this.#c, this.#d] = [a, b, c, d];
    while (i < words.length) this.#step(words[i++]!);
  }

  /** One word; the lanes change places, so that the next is always the first. */
  #step(word: number): void {
    const mixed = Math.imul(this.#a ^ word, factor);
    [this.#a, this.#b, this.#c, this.#d] = [this.#b, this.#c, this.#d, (mixed << 13) | (mixed >>> 19)];
    this.#words++;
  }

  /** 16 hexadecimal digits of what came so far. */
  hex(): string {
    const lanes = Uint32Array.of(this.#a, this.#b, this.#c, this.#d, this.#words);
    return [0, 1].map((seed) => mixWords(lanes, seed).toString(16).padStart(8, '0')).join('');
  }
}
