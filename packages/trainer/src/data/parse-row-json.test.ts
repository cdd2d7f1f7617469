import { expect, it } from 'vitest';
import { parseRowJson, rowFromJson, rowToJson } from './parse-row-json.js';

it.each([
  ['texts alone', '{"prompt": "a", "completion": "b"}'],
  ['floats that are whole, and others', '{"messages": [{"role": "user", "arguments": {"x": 20.0, "y": 3, "z": 1e2}}]}'],
  ['a weight, which is a plain number', '{"messages": [{"role": "user", "weight": 1.0}]}'],
  ['lists within lists, nothing, and what is true', '{"tools": [[1.0, [2, 3.5]], null, true, {}]}'],
  ['marks of its own', '{"text": "a \\u0000float \\n b"}'],
])('%s: a row is the same after it was kept as a text', (_name, text) => {
  const row = parseRowJson(text) as object;
  const kept = rowFromJson(rowToJson(row));
  expect(kept).toEqual(row);
  expect(rowToJson(kept as object)).toBe(rowToJson(row));
});
