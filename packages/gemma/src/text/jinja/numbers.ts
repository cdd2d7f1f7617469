import { arithmetic, float } from './operators.js';
import { strip } from './text.js';
import { int, isNumber, numberOf, type Value } from './values.js';

// Jinja's filters `int`, `float` and `round`.

const floatForm = /^[-+]?(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:e[-+]?\d+(?:_\d+)*)?$/i;
const intForm = /^[-+]?\d+(?:_\d+)*$/;
const longestNumber = 4300;

function plainText(text: string): string {
  if (/(?![0-9])\p{Nd}/u.test(text))
    throw new Error('it reads a number with digits beyond 0 to 9, which is not supported');
  if (text.length > longestNumber) throw new Error('it reads a number of more than 4300 characters');
  return strip(text);
}

/** `float` of a text or number; undefined where it is none. @throws Error for an int that is too large */
function readFloat(value: Value): number | undefined {
  if (isNumber(value)) return float(numberOf(value));
  if (typeof value !== 'string') return undefined;
  const text = plainText(value);
  if (/^[-+]?(inf|infinity|nan)$/i.test(text)) throw new Error(`it reads ${text} as a number, which is not supported`);
  return floatForm.test(text) ? Number(text.replaceAll('_', '')) : undefined;
}

export const toFloat = (value: Value, otherwise: Value): Value => readFloat(value) ?? otherwise;

/** Whole numbers as they are, others without what follows the point. */
export function toInt(value: Value, otherwise: Value): Value {
  if (isNumber(value)) {
    const number = numberOf(value);
    if (typeof number === 'bigint') return number;
    if (Number.isNaN(number)) return otherwise;
    if (!Number.isFinite(number)) throw new Error('it makes a whole number of an infinite one');
    return int(BigInt(Math.trunc(number)));
  }
  if (typeof value === 'string') {
    const text = plainText(value);
    if (intForm.test(text))
      return int(
        BigInt(
          text
            .replaceAll('_', '')
            .replace(/^\+/, '')
            .replace(/^-(.*)$/, '$1'),
        ) * (text.startsWith('-') ? -1n : 1n),
      );
  }
  const number = readFloat(value);
  return number === undefined || !Number.isFinite(number) ? otherwise : BigInt(Math.trunc(number));
}

/** A float as a fraction, exactly. */
function fractionOf(value: number): [numerator: bigint, denominator: bigint] {
  let denominator = 1n;
  let rest = value;
  while (!Number.isInteger(rest)) {
    rest *= 2;
    denominator *= 2n;
  }
  return [BigInt(rest), denominator];
}

/** To so many digits after the point: to the nearest, and to an even digit from the middle; or up or down. */
export function round(value: Value, precision: number, method: string): Value {
  if (!isNumber(value)) throw new Error('it rounds what is no number');
  if (!['common', 'ceil', 'floor'].includes(method)) throw new Error(`it rounds by '${method}', which is no way to`);
  if (precision < 0 || precision > 300) throw new Error(`it rounds to ${precision} digits, which is not supported`);
  const number = numberOf(value);
  if (typeof number === 'number' && !Number.isFinite(number)) throw new Error('it rounds a number that is not finite');
  if (method !== 'common') {
    const factor = 10n ** BigInt(precision);
    const towards = method === 'ceil' ? Math.ceil : Math.floor;
    if (typeof number === 'bigint') return arithmetic('/', number * factor, factor);
    const scaled = number * float(factor);
    if (!Number.isSafeInteger(Math.trunc(scaled)) || precision > 15)
      throw new Error('it rounds a number that is too large, which is not supported');
    return (towards(scaled) + 0) / float(factor);
  }
  if (typeof number === 'bigint') return number;
  const [numerator, denominator] = fractionOf(Math.abs(number));
  const scaled = numerator * 10n ** BigInt(precision);
  let digits = scaled / denominator;
  const rest = 2n * (scaled % denominator);
  if (rest > denominator || (rest === denominator && digits % 2n === 1n)) digits++;
  const rounded = Number(`${digits}e-${precision}`);
  return number < 0 || Object.is(number, -0) ? -rounded : rounded;
}
