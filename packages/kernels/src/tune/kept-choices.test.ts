import { baselineProfile } from '@lapidary/gpu';
import { expect, it } from 'vitest';
import { openChoiceStore } from '#choice-store';
import { memoryChoiceStore } from '../testing/memory-choice-store.js';
import { deviceKey, keepChoices, readChoices } from './kept-choices.js';

const device = deviceKey(baselineProfile);
const choices = new Map([['8x8x8 nn f32', { variant: 'plain', nanoseconds: { plain: 1000, sliced: 2000 } }]]);
const more = new Map([['9x9x9 nn f32', { variant: 'sliced', nanoseconds: {} }]]);
const failOn = (message: string) => {
  throw new Error(message);
};

it('a device is its adapter, driver, features and subgroups; what is only learnt of it does not count', () => {
  const { adapter } = baselineProfile;
  const others = [
    { adapter: { ...adapter, description: 'driver 2' } },
    { features: new Set(['subgroups']) },
    { subgroupSize: { min: 8, max: 8 } },
  ].map((change) => deviceKey({ ...baselineProfile, ...change }));
  expect(new Set([device, ...others]).size).toBe(4);
  expect(deviceKey({ ...baselineProfile, kernelChoices: new Map([['x', 'y']]) })).toBe(device);
});

it('what is kept is there again, beside what is kept later', async () => {
  const store = memoryChoiceStore();
  expect(await readChoices(store, device, failOn)).toEqual(new Map());
  await keepChoices(store, device, choices, failOn);
  await keepChoices(store, device, more, failOn);
  expect(await readChoices(store, device, failOn)).toEqual(new Map([...choices, ...more]));
  expect(await readChoices(store, `${device} 2`, failOn)).toEqual(new Map());
});

it.each([
  ['no JSON', '{"format": "lapid', /passed over: /],
  ['nothing', 'null', /something else/],
  ['something else', '{"format": "other"}', /something else/],
  ['no choices', undefined, /passed over: /, { choices: null }],
  ['of another device', undefined, /another device, x/, { device: 'x' }],
  ['of another version', undefined, null, { version: 0 }],
  [
    'partly something else',
    undefined,
    null,
    { choices: { a: 1, b: null, c: { variant: 2 }, d: { variant: 'plain' } } },
  ],
] as [string, string | undefined, RegExp | null, object?][])(
  'a text that is %s counts as nothing, and is replaced',
  async (_, text, told, changes) => {
    const store = memoryChoiceStore();
    await keepChoices(store, device, choices, failOn);
    const [[name, whole]] = [...store.texts] as [[string, string]];
    store.texts.set(name, text ?? JSON.stringify({ ...(JSON.parse(whole) as object), ...changes }));
    const notices: string[] = [];
    expect(await readChoices(store, device, (message) => notices.push(message))).toEqual(new Map());
    expect(notices).toEqual(told === null ? [] : [expect.stringMatching(told)]);
    await keepChoices(store, device, more, failOn);
    expect(await readChoices(store, device, failOn)).toEqual(more);
  },
);

it('a store that fails stops nothing, and is told', async () => {
  const fails = () => Promise.reject(new Error('the disk is read-only.'));
  const notices: string[] = [];
  const notice = (message: string) => void notices.push(message);
  const store = { location: 'there', read: fails, write: fails };
  expect(await readChoices(store, device, notice)).toEqual(new Map());
  await keepChoices(store, device, choices, notice);
  expect(notices).toEqual([
    'The kernels chosen before (there) are passed over: the disk is read-only.',
    'The choice of kernels cannot be kept (there) and is made again next time: the disk is read-only.',
  ]);
});

it('Node and browsers have a place for them', () => {
  expect(openChoiceStore().location).toMatch(/lapidary/);
});
