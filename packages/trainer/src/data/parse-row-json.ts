import { JsonFloat, jsonFloatKey, parseJsonWithFloats, withJsonFloats } from '@lapidary/gemma';

/** A turn's weight is a plain number, however it is written. */
const plain = ['weight'];

/** JSON as rows are written in. Whole numbers that are written as floats stay such: templates write them so. @throws SyntaxError */
export const parseRowJson = (text: string): unknown => parseJsonWithFloats(text, plain);

/** A row of JSON values as a text that `rowFromJson` reads: floats stay such. */
export function rowToJson(row: object): string {
  // Rows without lists within them have none.
  if (!Object.values(row).some((value) => typeof value === 'object' && value !== null)) return JSON.stringify(row);
  return JSON.stringify(row, function (this: Record<string, unknown>, key: string, value: unknown) {
    const given = this[key];
    return given instanceof JsonFloat ? { [jsonFloatKey]: given.value } : value;
  });
}

/** A row of `rowToJson`. */
export const rowFromJson = (text: string): unknown => withJsonFloats(JSON.parse(text), plain);
