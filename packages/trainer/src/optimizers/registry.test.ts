import * as v from 'valibot';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { findProblems } from '../config/find-problems.js';
import { hyperInput, type Optimizer } from './optimizer.js';
import {
  optimizerOf,
  optimizers,
  optimizerSchema,
  type OptimizerConfig,
  type OptimizerInput,
  type OptimizerType,
} from './registry.js';

describe('optimizerSchema', () => {
  const parse = (input: OptimizerInput) => v.parse(optimizerSchema, input);

  it('is AdamW with the defaults of before where nothing is said', () => {
    const adamw = { type: 'adamw', betas: [0.9, 0.95], eps: 1e-8, weightDecay: 1e-10, clipGradNorm: 1 };
    expect(parse({})).toEqual(adamw);
    expect(parse({ type: 'adamw', learningRate: 0.1, clipGradNorm: null })).toEqual({
      ...adamw,
      learningRate: 0.1,
      clipGradNorm: null,
    });
    expect(optimizerOf('adamw').defaultLearningRate).toEqual({ full: 2.5e-5, lora: 2e-4 });
  });

  it('fills in the defaults of each type', () => {
    expect(parse({ type: 'sgd', momentum: 0.5 })).toEqual({
      type: 'sgd',
      momentum: 0.5,
      nesterov: false,
      weightDecay: 0,
      clipGradNorm: 1,
    });
    expect(parse({ type: 'lion' })).toEqual({ type: 'lion', betas: [0.9, 0.99], weightDecay: 1e-3, clipGradNorm: 1 });
    expect(parse({ type: 'adafactor' })).toEqual({
      type: 'adafactor',
      beta2Decay: -0.8,
      eps: [null, 1e-3],
      d: 1,
      weightDecay: 0,
      clipGradNorm: 1,
    });
  });

  it.each([
    [{ type: 'adam' }, { type: "'adam' | one of 'adamw', 'sgd', 'lion', 'adafactor'" }],
    [{ type: 'adam', nonsense: 1 }, { type: "'adam' | one of 'adamw', 'sgd', 'lion', 'adafactor'" }],
    [{ type: 'lion', learningRate: 0 }, { learningRate: '0 | a number above 0' }],
    [
      { type: 'lion', eps: 1 },
      { eps: "1 | no such field of 'lion'; there are type, learningRate, betas, weightDecay, clipGradNorm" },
    ],
    [{ type: 'sgd', nestorov: true }, { nestorov: 'true | no such field; did you mean `nesterov`?' }],
    [
      { momentum: 0.9, eps: -1 },
      {
        eps: '-1 | a number above 0',
        momentum: '0.9 | no such field; there are type, learningRate, betas, eps, weightDecay, clipGradNorm',
      },
    ],
    [{ type: 'sgd', momentum: 1 }, { momentum: '1 | a number 0 or more and below 1' }],
    [
      { type: 'adafactor', eps: [0, 1], d: 0.5, beta2Decay: 1 },
      {
        eps: '[0,1] | two numbers above 0, of which the first may be null',
        d: '0.5 | a number 1 or more',
        beta2Decay: '1 | a number, 0 or less',
      },
    ],
    [7, { '': '7 | an object: { type, learningRate, betas, eps, weightDecay, clipGradNorm }' }],
  ])('finds what is wrong in %j', (input, expected) => {
    const told = findProblems(optimizerSchema, input).map(({ path, found, allowed }) => [
      path,
      `${found} | ${allowed}`,
    ]);
    expect(Object.fromEntries(told)).toEqual(expected);
  });

  it('is found in a field of a config', () => {
    const config = v.object({ optimizer: v.optional(optimizerSchema, {}) });
    expect(v.parse(config, {})).toEqual({ optimizer: parse({}) });
    const problems = (optimizer: unknown) => findProblems(config, { optimizer });
    expect(problems({ type: 'sgd', betas: [0, 0] })).toMatchObject([{ path: 'optimizer.betas' }]);
    expect(problems({ type: 'x' })).toMatchObject([
      { path: 'optimizer.type', allowed: "one of 'adamw', 'sgd', 'lion', 'adafactor'" },
    ]);
    expect(problems({ type: 'lion', betas: [0, 1] })).toMatchObject([
      { path: 'optimizer.betas', allowed: 'two numbers from 0 to below 1' },
    ]);
    expect(problems('adamw')).toMatchObject([{ path: 'optimizer', found: "'adamw'" }]);
    expect(problems({ type: 'adafactor', learningRate: 1e-3 })).toEqual([]);
  });

  it('gives each type its own fields', () => {
    expectTypeOf<OptimizerConfig['type']>().toEqualTypeOf<OptimizerType>();
    expectTypeOf<OptimizerConfig<'adamw'>['betas']>().toEqualTypeOf<readonly [number, number]>();
    expectTypeOf<OptimizerConfig<'sgd'>['nesterov']>().toEqualTypeOf<boolean>();
    expectTypeOf<OptimizerConfig<'adafactor'>>().not.toHaveProperty('betas');
    const narrowed = (config: OptimizerConfig) => (config.type === 'lion' ? config.betas : config.learningRate);
    expect(narrowed({ type: 'lion', betas: [0, 0], weightDecay: 0, learningRate: 1, clipGradNorm: 1 })).toEqual([0, 0]);
  });
});

describe('hyperInput', () => {
  it.each(optimizers.map((optimizer) => [optimizer.type, optimizer as Optimizer] as const))(
    '%s: one value for each name, none left over',
    (type, optimizer) => {
      const settings = v.parse(optimizerSchema, { type } as OptimizerInput);
      const at = { learningRate: 0.25, step: 2, clipNorm: 0.5 };
      const input = hyperInput(optimizer, settings, at);
      expect(input.length).toBe(optimizer.hyperNames.length);
      expect(Object.keys(optimizer.hyper(settings, at)).sort()).toEqual([...optimizer.hyperNames].sort());
      expect(input[optimizer.hyperNames.indexOf('learningRate')]).toBe(0.25);
      expect(input[optimizer.hyperNames.indexOf('clipNorm')]).toBe(0.5);
    },
  );

  it('refuses an optimiser that leaves a value out', () => {
    const broken: Optimizer = { ...(optimizers[1] as Optimizer), hyper: () => ({ learningRate: 1 }) };
    expect(() => hyperInput(broken, {}, { learningRate: 1, step: 1, clipNorm: 0 })).toThrow(
      /'sgd', step 1: 'momentum'/,
    );
  });
});
