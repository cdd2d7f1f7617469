import { createTextStream, type Tokenizer, tokenizerFromJson } from '@lapidary/gemma';
import { brokenJson, type Json } from '../mutate-json.js';
import { encode, type FuzzReader, mustHold } from '../reader.js';
import { tokenKinds, tokens } from './gguf.js';

const added = tokens.flatMap((content, id) =>
  tokenKinds[id] === 1 || tokenKinds[id] === 6
    ? []
    : [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }],
);

export const tokenizerJson: Json = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: added,
  normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '\u2581' },
  pre_tokenizer: { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious', invert: false },
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<bos>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { '<bos>': { id: '<bos>', ids: [2], tokens: ['<bos>'] } },
  },
  decoder: {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '\u2581' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
    ],
  },
  model: {
    type: 'BPE',
    dropout: null,
    unk_token: '<unk>',
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: true,
    byte_fallback: true,
    ignore_merges: false,
    vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
    merges: [
      ['a', 'b'],
      ['\u2581', 'a'],
    ],
  },
};

export const tokenizerConfig: Json = {
  add_bos_token: true,
  bos_token: '<bos>',
  eos_token: { content: '<eos>' },
  pad_token: '<pad>',
  unk_token: '<unk>',
  additional_special_tokens: ['<start_of_turn>'],
  chat_template: '{{ bos_token }}{% for message in messages %}{{ message.content }}{% endfor %}',
};

const texts = ['', 'a b ab', '<bos>a<eos>', '\u00e9\u{1f600}', 'aaaa'.repeat(200), '\u2581 \u2581', '<start_of_turn>b'];

/** Uses a tokenizer as the product does. */
export function useTokenizer(tokenizer: Tokenizer): void {
  const { bosId, eosId, padId, vocabSize } = tokenizer;
  mustHold(
    [bosId, eosId, padId].every((id) => Number.isSafeInteger(id) && id >= 0),
    'its special tokens have no ids',
  );
  mustHold(Number.isSafeInteger(vocabSize) && vocabSize > 0, `it has ${vocabSize} words`);
  for (const text of texts) {
    const ids = tokenizer.encode(text);
    mustHold(
      ids.every((id) => Number.isSafeInteger(id) && id >= 0),
      `it gives the ids ${ids.join(' ').slice(0, 100)}`,
    );
    mustHold(typeof tokenizer.decode(ids) === 'string', 'it decodes to no text');
    const stream = createTextStream(tokenizer);
    for (const id of ids.slice(0, 20)) stream.push(id);
    stream.flush();
  }
  tokenizer.decode([0, vocabSize - 1, vocabSize, 2 ** 31]);
  tokenizer.tokenId('<end_of_turn>');
  tokenizer.applyChatTemplate?.([{ role: 'user', content: 'a' }], {
    bosToken: '<bos>',
    eosToken: '<eos>',
    addGenerationPrompt: true,
  });
}

/** tokenizer.json with tokenizer_config.json. */
export const tokenizerJsonReader: FuzzReader = {
  name: 'tokenizer-json',
  make(dice) {
    const isConfig = dice.chance(0.25);
    return {
      'tokenizer.json': encode(isConfig ? JSON.stringify(tokenizerJson) : brokenJson(tokenizerJson, dice)),
      'tokenizer_config.json': encode(isConfig ? brokenJson(tokenizerConfig, dice) : JSON.stringify(tokenizerConfig)),
    };
  },
  async read({ 'tokenizer.json': first, 'tokenizer_config.json': second }) {
    let json: [unknown, unknown];
    try {
      json = [JSON.parse(new TextDecoder().decode(first)), JSON.parse(new TextDecoder().decode(second))];
    } catch {
      return;
    }
    useTokenizer(await tokenizerFromJson(...json));
  },
};
