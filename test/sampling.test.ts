// What may come next, against transformers' logits processors (test/fixtures/sampling).
import {
  createRandom,
  createSampler,
  nextTokenProbabilities,
  sampleToken,
  SamplingError,
  type SamplingOptions,
} from '@lapidary/gemma';
import { describe, expect, it } from 'vitest';
import { fixtureJson } from './support/safetensors-fixture.js';

interface Case {
  readonly settings: Readonly<Record<string, number>>;
  readonly logits: readonly number[];
  readonly seen: readonly number[];
  readonly probabilities: readonly number[];
}

/** Settings under our names. */
function ours(settings: Case['settings']): SamplingOptions {
  const names = { top_k: 'topK', top_p: 'topP', min_p: 'minP', repetition_penalty: 'repetitionPenalty' };
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [names[name as keyof typeof names] ?? name, value]),
  );
}

describe('the next token', () => {
  it("is as likely as by transformers' processors", async () => {
    const cases = await fixtureJson<Case[]>('sampling/cases.json');
    expect(cases).toHaveLength(16);
    for (const { settings, logits, seen, probabilities } of cases) {
      const found = nextTokenProbabilities(Float32Array.from(logits), { ...ours(settings), seen });
      const all = logits.map((_, token) => found.probabilities[found.tokens.indexOf(token)] ?? 0);
      const told = JSON.stringify(settings);
      all.forEach((p, token) => expect(Math.abs(p - probabilities[token]!), `${told} ${token}`).toBeLessThan(2e-6));
      expect(found.tokens, told).toEqual(probabilities.flatMap((p, token) => (p > 0 ? [token] : [])));
    }
  });

  it('is drawn as often as it is likely', () => {
    const logits = Float32Array.of(Math.log(1), Math.log(2), Math.log(5), -1e9);
    const draw = (options: object, seed = 1) => {
      const random = createRandom(seed);
      const counts = [0, 0, 0, 0];
      for (let i = 0; i < 8000; i++) counts[sampleToken(logits, { ...options, random })]!++;
      return counts;
    };
    expect(draw({ temperature: 0 })).toEqual([0, 0, 8000, 0]);
    draw({}).forEach((n, i) => expect(Math.abs(n / 8000 - [1 / 8, 2 / 8, 5 / 8, 0][i]!)).toBeLessThan(0.02));
    expect(draw({ topK: 2 })[0]).toBe(0);
    expect(draw({ topP: 0.6 })).toEqual([0, 0, 8000, 0]);
    expect(draw({ minP: 0.3 })[0]).toBe(0);
    expect(draw({}, 7)).toEqual(draw({}, 7));
    expect(draw({}, 7)).not.toEqual(draw({}, 8));
  });

  it('is one of several as likely, by the smaller id, where top-p has room for one', () => {
    const { tokens, probabilities } = nextTokenProbabilities(Float32Array.of(0, 1, 1, 1), { topP: 0.4 });
    expect(tokens).toEqual([1, 2]);
    expect(probabilities).toEqual([0.5, 0.5]);
  });

  it('is less likely once it has come, greedily too', () => {
    const logits = Float32Array.of(1, 3, 2.5, -1);
    const choose = createSampler({ temperature: 0, repetitionPenalty: 1.5 }, [3]);
    expect([choose(logits), choose(logits), choose(logits)]).toEqual([1, 2, 1]);
    expect(logits).toEqual(Float32Array.of(1, 3, 2.5, -1));
    // Of the prompt as well; where a logit is negative, further down.
    const after = createSampler({ temperature: 0, repetitionPenalty: 4 }, [1, 2]);
    expect(after(logits)).toBe(0);
    const faint = nextTokenProbabilities(Float32Array.of(-1, -1), { repetitionPenalty: 2, seen: [0] });
    expect(faint.probabilities[0]).toBeCloseTo(1 / (1 + Math.E), 6);
  });

  it('is the same one by the same seed', () => {
    const logits = Float32Array.from({ length: 50 }, (_, i) => Math.sin(i));
    const drawn = (seed?: number) => {
      const choose = createSampler(seed === undefined ? {} : { seed });
      return Array.from({ length: 20 }, () => choose(logits));
    };
    expect(drawn(3)).toEqual(drawn(3));
    expect(drawn()).toEqual(drawn(42));
    expect(drawn(3)).not.toEqual(drawn(4));
  });

  it.each([
    [{ temperature: -1 }, 'temperature'],
    [{ temperature: NaN }, 'temperature'],
    [{ topK: 1.5 }, 'topK'],
    [{ topP: 0 }, 'topP'],
    [{ topP: 1.1 }, 'topP'],
    [{ minP: -0.1 }, 'minP'],
    [{ repetitionPenalty: 0 }, 'repetitionPenalty'],
    [{ repetitionPenalty: Infinity }, 'repetitionPenalty'],
    [{ seed: -1 }, 'seed'],
  ])('cannot be chosen with %o', (settings, option) => {
    expect(() => createSampler(settings)).toThrow(SamplingError);
    expect(() => createSampler(settings)).toThrow(`\`${option}\` is ${Object.values(settings)[0]}`);
  });
});
