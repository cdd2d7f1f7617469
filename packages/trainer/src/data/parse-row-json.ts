import { JsonFloat, parseJson } from '@lapidary/gemma';

/** JSON as rows are written in. Whole numbers that are written as floats stay such: templates write them so. @throws SyntaxError */
export const parseRowJson = (text: string): unknown => withFloats(text, parseJson(text));

/** What stands for a float while its text is read. */
const floatKey = '\0float';
const textOrNumber = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** A row, with the whole numbers that its text writes as floats as such; but a turn's weight is a plain number. */
function withFloats(text: string, row: unknown): unknown {
  if (!/\d(\.0|[eE])/.test(text) || text.includes('\\u0000float')) return row;
  const isFloat = (token: string) => !token.startsWith('"') && /[.eE]/.test(token) && Number.isInteger(Number(token));
  const marked = text.replace(textOrNumber, (token) => (isFloat(token) ? `{"\\u0000float":${token}}` : token));
  return marked === text ? row : floatsOf(parseJson(marked), '');
}

function floatsOf(value: unknown, key: string): unknown {
  if (Array.isArray(value)) return value.map((each) => floatsOf(each, ''));
  if (typeof value !== 'object' || value === null) return value;
  const float = (value as Record<string, unknown>)[floatKey];
  if (typeof float === 'number') return key === 'weight' ? float : new JsonFloat(float);
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, floatsOf(each, name)]));
}

/** A row of JSON values as a text that `rowFromJson` reads: floats stay such. */
export function rowToJson(row: object): string {
  // Rows without lists within them have none.
  if (!Object.values(row).some((value) => typeof value === 'object' && value !== null)) return JSON.stringify(row);
  return JSON.stringify(row, function (this: Record<string, unknown>, key: string, value: unknown) {
    const given = this[key];
    return given instanceof JsonFloat ? { [floatKey]: given.value } : value;
  });
}

/** A row of `rowToJson`. */
export const rowFromJson = (text: string): unknown => floatsOf(JSON.parse(text), '');
