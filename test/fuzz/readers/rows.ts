import {
  type Model,
  modelOf,
  gemmaConfigFromHf,
  gemmaPresets,
  paliGemmaPresets,
  tokenizerFromJson,
} from '@lapidary/gemma';
import { decodeText, parseRow, readJsonl, rowsOf, type RowFormat, tokeniseRows } from '@lapidary/trainer';
import { fixtureJson } from '../../support/safetensors-fixture.js';
import { brokenBytes } from '../byte-writer.js';
import type { Dice } from '../dice.js';
import { brokenJson, type Json, jsonText } from '../mutate-json.js';
import { encode, type FuzzReader, mustHold } from '../reader.js';

const rows: readonly Json[] = [
  { prompt: 'a b', completion: 'xy' },
  { prefix: 'a b', suffix: 'xy' },
  { prompt: 'a', completion: 'x', image: 'cat.png' },
  { prompt: 'a', completion: 'x', images: ['a.png', 'data:image/png;base64,AA'] },
  { text: 'some text' },
  {
    messages: [
      { role: 'system', content: 's' },
      { role: 'user', content: 'a' },
      { role: 'assistant', content: 'b' },
    ],
  },
  {
    messages: [
      { role: 'user', content: 'a' },
      { role: 'model', content: 'b' },
    ],
  },
];

const formats: readonly (RowFormat | 'auto')[] = ['auto', 'auto', 'auto', 'completion', 'messages', 'text'];

/** JSONL files of all forms, up to tokens. */
export async function rowsReader(): Promise<FuzzReader> {
  const tokenizer = await tokenizerFromJson(
    await fixtureJson('tokenizer/tokenizer.json'),
    await fixtureJson('tokenizer/tokenizer_config.json'),
  );
  const models: readonly Model[] = [
    modelOf(gemmaConfigFromHf(await fixtureJson('models/gemma3-tiny/config.json'))),
    modelOf(gemmaPresets['gemma-2b']),
    modelOf(Object.values(paliGemmaPresets)[0]!),
  ];
  return {
    name: 'rows',
    make(dice: Dice) {
      const lines = dice.list(dice.between(1, 3), () =>
        dice.chance(0.5) ? jsonText(dice.pick(rows)) : brokenJson(dice.pick(rows), dice),
      );
      const text = lines.join(dice.pick(['\n', '\n', '\r\n', '\n\n'])) + dice.pick(['', '\n']);
      return { [`${dice.pick(formats)}-${dice.below(models.length)}.jsonl`]: brokenBytes(encode(text), dice) };
    },
    async read(files) {
      const [name = '', bytes = new Uint8Array()] = Object.entries(files)[0] ?? [];
      const [, format = 'auto', which = '0'] = /^(\w+)-(\d)/.exec(name) ?? [];
      const parse = (value: unknown, file: string, line: number) =>
        parseRow(value, file, line, format as RowFormat | 'auto');
      const read = readJsonl(decodeText(bytes, name), name, parse);
      rowsOf(read, parse);
      const { examples } = tokeniseRows(read, tokenizer, {
        maxLength: 64,
        lossOn: 'completion',
        tooLong: 'truncate',
        file: name,
        model: models[Number(which)]!,
      });
      mustHold(
        examples.every(({ tokens }) => tokens.length > 0 && tokens.every((id) => id >= 0)),
        'it has no tokens',
      );
    },
  };
}
