import type { Dice } from './dice.js';

/** What JSON can hold, and may be changed. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** Stand for what JSON texts can say and `JSON.stringify` does not. */
const raw: readonly (readonly [mark: string, text: string])[] = [
  ['@@infinite@@', '1e999'],
  ['@@precise@@', '9007199254740993'],
  ['@@minusZero@@', '-0'],
  ['@@deepList@@', `${'['.repeat(30_000)}${']'.repeat(30_000)}`],
  ['@@deepObject@@', `${'{"a":'.repeat(30_000)}0${'}'.repeat(30_000)}`],
];

/** Values of every kind. */
function strange(dice: Dice): Json {
  if (dice.chance(0.02)) return dice.pick(raw)[0];
  return structuredClone(dice.pick(values));
}

const values: readonly Json[] = [
  null,
  true,
  false,
  0,
  1,
  -1,
  0.5,
  1e-320,
  1e308,
  2 ** 31,
  -(2 ** 31),
  2 ** 32,
  1e9,
  2 ** 53,
  -(2 ** 53),
  '',
  'x',
  '1',
  '__proto__',
  'a'.repeat(3000),
  [],
  {},
  [null],
  [[]],
  [1, 'x'],
  { a: 1 },
  { length: 1e9 },
  { content: 'x' },
  { String: 'x' },
  { __proto__: null, toString: 1 },
];

const keys = ['', '0', 'x', '__proto__', 'constructor', 'toString', 'length', 'type', 'a'.repeat(2000)];

/** A place in a value where another can stand. */
interface Slot {
  readonly at: Json[] | { [key: string]: Json };
  readonly key: string;
}

function slotsOf(value: Json, slots: Slot[] = []): Slot[] {
  if (typeof value !== 'object' || value === null) return slots;
  for (const key of Object.keys(value)) {
    if (slots.length >= 3000) break;
    slots.push({ at: value, key });
    slotsOf(get({ at: value, key }), slots);
  }
  return slots;
}

const get = ({ at, key }: Slot): Json => (Array.isArray(at) ? at[Number(key)] : at[key]) as Json;

function put({ at, key }: Slot, value: Json): void {
  if (Array.isArray(at)) at[Number(key)] = value;
  // Also the key __proto__ is one of its own, as JSON.parse makes it.
  else Object.defineProperty(at, key, { value, enumerable: true, configurable: true, writable: true });
}

function drop({ at, key }: Slot): void {
  if (Array.isArray(at)) at.splice(Number(key), 1);
  else delete at[key];
}

/** Changes one thing of a value in place. */
function changeOne(value: Json, dice: Dice): void {
  const slots = slotsOf(value);
  if (slots.length === 0) return;
  const slot = dice.pick(slots);
  const held = get(slot);
  const kind = dice.below(8);
  if (kind === 0) drop(slot);
  else if (kind === 1) {
    const key = Array.isArray(slot.at) ? String(slot.at.length) : dice.pick(keys);
    put({ at: slot.at, key }, structuredClone(held));
  } else put(slot, changed(held, kind, { slots, dice }));
}

/** What stands in place of a value. */
function changed(held: Json, kind: number, { slots, dice }: { slots: readonly Slot[]; dice: Dice }): Json {
  if (kind === 2) return structuredClone(get(dice.pick(slots)) ?? null);
  if (kind === 3) return dice.chance(0.5) ? [held] : { [dice.pick(keys)]: held };
  if (kind === 4 && typeof held === 'number') return changedNumber(held, dice);
  if (kind === 4 && typeof held === 'string') return changedText(held, dice);
  return strange(dice);
}

export function changedNumber(value: number, dice: Dice): number {
  return dice.pick([value + 1, value - 1, -value, value * 2, value / 2, value + 0.5, value * 1e6, 0]);
}

export function changedText(text: string, dice: Dice): string {
  const at = dice.below(text.length + 1);
  return dice.pick([
    text.slice(0, at),
    text.slice(at),
    text + text,
    text.slice(0, at) + dice.text() + text.slice(at),
    text.toUpperCase(),
    dice.text(),
  ]);
}

/** A value as text, from none to several things of it changed; now and then the text itself is damaged. */
export function brokenJson(value: Json, dice: Dice): string {
  const copy = structuredClone(value);
  for (let i = dice.pick([0, 0, 0, 1, 1, 1, 1, 2, 4]); i > 0; i--) changeOne(copy, dice);
  return brokenText(jsonText(dice.chance(0.01) ? strange(dice) : copy), dice);
}

/** The text of a value in which marks stand for what only a text can say. */
export function jsonText(value: Json): string {
  let text = JSON.stringify(value);
  if (text.includes('"@@')) for (const [mark, spelled] of raw) text = text.replaceAll(`"${mark}"`, spelled);
  return text;
}

/** Keys that stand twice, and other things that a text can have and a value cannot. */
function brokenText(text: string, dice: Dice): string {
  switch (dice.below(24)) {
    case 0: {
      const opening = text.indexOf('{"', dice.below(text.length));
      const [, key] = /^\{("[^"\\]*")/.exec(text.slice(opening, opening + 200)) ?? [];
      return opening < 0 || key === undefined
        ? text
        : `${text.slice(0, opening)}{${key}:null,${text.slice(opening + 1)}`;
    }
    case 1:
      return text.slice(0, dice.below(text.length + 1));
    case 2:
      return dice.pick(['\ufeff', ' ', '\n', '//', '\0']) + text;
    case 3:
      return text + dice.pick([' ', '\n', '}', ',', '\0', '{}', text]);
    case 4:
      return changedText(text, dice);
    default:
      return text;
  }
}
