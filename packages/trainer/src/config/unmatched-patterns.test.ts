import { expect, test } from 'vitest';
import { unopenedLoader } from '../testing/unopened-loader.js';
import { resolveTrainConfig } from './resolve-train-config.js';
import type { TrainConfig } from './train-config.js';
import { findUnmatched } from './unmatched-patterns.js';

const linears = [0, 1, 2].flatMap((layer) =>
  ['attn.qProj', 'attn.oProj', 'mlp.upProj'].map((linear) => `layers.${layer}.${linear}`),
);
const places = linears.map((linear) => ({
  path: `${linear}.weight`,
  tower: 'language',
  layer: Number(linear.split('.')[1]),
}));
const parameters = ['embedTokens.weight', ...linears.map((linear) => `${linear}.weight`), 'norm.weight'];

function problemsOf(over: Partial<TrainConfig>) {
  const config = resolveTrainConfig({ weightLoader: unopenedLoader(), data: { source: 'x' }, ...over });
  return findUnmatched(config, { parameters, linears: places, trained: parameters }).map(
    ({ path, found, allowed }) => `${path}: ${found}; ${allowed}`,
  );
}

test('what matches is no problem', () => {
  expect(problemsOf({})).toEqual([]);
  expect(problemsOf({ freeze: ['embedTokens.*', /layers\.0\..*/], lora: { layers: [0, 2] } })).toEqual([]);
  expect(problemsOf({ lora: null, trainable: ['layers.*.attn.**'] })).toEqual([]);
  expect(problemsOf({ lora: { targets: /layers\.\d+\.attn\..*/ } })).toEqual([]);
});

test('a pattern that matches nothing is named, with the nearest paths', () => {
  expect(problemsOf({ freeze: ['embed_tokens.*', 'norm.weight'] })).toEqual([
    expect.stringMatching(/^freeze: 'embed_tokens\.\*', which matches nothing; .*nearest are embedTokens\.weight, /),
  ]);
  expect(problemsOf({ lora: null, trainable: ['layer.**', 'layers.7.attn.q_proj.weight'] })).toEqual([
    expect.stringMatching(/^trainable: 'layer\.\*\*'.*nearest are layers\.0\./),
    expect.stringMatching(/^trainable: 'layers\.7.*nearest are layers\.0\.attn\.qProj\.weight/),
  ]);
  expect(problemsOf({ allowMissing: ['embedTokens.weight', 'vision.**', /projector\..*/] })).toEqual([
    expect.stringMatching(/^allowMissing: 'vision\.\*\*', which matches nothing; .*nearest are /),
    expect.stringMatching(/^allowMissing: \/projector\\\.\.\*\/, which matches nothing; /),
  ]);
  expect(problemsOf({ lora: { targets: /q_proj/ } })).toEqual([
    expect.stringMatching(/^lora\.targets: \/q_proj\/, which matches nothing; .*layers\.0\./),
  ]);
});

test('patterns of ranks, alphas and modules', () => {
  const lora = { rankPattern: { qProj: 2, 'layers.1.mlp.*': 4 }, alphaPattern: { '*Proj': 1 } };
  expect(problemsOf({ lora: { ...lora, modulesToSave: ['norm', 'layers.*.attn.oProj', /embed.*/] } })).toEqual([]);
  const unmatched = { rankPattern: { q_proj: 2 }, alphaPattern: { 'layers.1.qProj': 1 } };
  expect(problemsOf({ lora: { ...unmatched, modulesToSave: ['norm.weight', 'embed_tokens'] } })).toEqual([
    expect.stringMatching(/^lora\.modulesToSave: 'norm\.weight', which matches nothing; .*nearest are norm, /),
    expect.stringMatching(/^lora\.modulesToSave: 'embed_tokens'.* nearest are embedTokens, /),
    expect.stringMatching(/^lora\.rankPattern: 'q_proj'.* nearest are .*qProj/),
    expect.stringMatching(/^lora\.alphaPattern: 'layers\.1\.qProj'.* nearest are .*qProj/),
  ]);
  // A linear that is trained whole has no update.
  expect(problemsOf({ lora: { rankPattern: { oProj: 2 }, modulesToSave: ['**.oProj'] } })).toEqual([
    expect.stringMatching(/^lora\.rankPattern: 'oProj', which matches nothing/),
  ]);
});

test('layers that the model does not have, and targets that are in none of the layers', () => {
  expect(problemsOf({ lora: { layers: [1, 99] } })).toEqual(['lora.layers: 99; layers with these targets: 0 to 2']);
  expect(problemsOf({ lora: { layers: [2], targets: /layers\.1\..*/ } })).toEqual([
    'lora.layers: 2; layers with these targets: 1',
  ]);
  expect(problemsOf({ lora: { targets: ['downProj'] } })).toEqual([
    expect.stringMatching(
      /^lora\.targets: downProj, which the model does not have in language; .*layers\.0\.attn\.qProj/,
    ),
  ]);
});
