import { tokenizerFromGguf } from '@lapidary/gemma';
import { brokenJson, type Json } from '../mutate-json.js';
import { encode, type FuzzReader } from '../reader.js';
import { tokenKinds, tokens } from './gguf.js';
import { useTokenizer } from './tokenizer-json.js';

const metadata: Json = {
  'tokenizer.ggml.model': 'llama',
  'tokenizer.ggml.tokens': tokens,
  'tokenizer.ggml.scores': tokens.map((_, i) => -i),
  'tokenizer.ggml.token_type': tokenKinds,
  'tokenizer.ggml.unknown_token_id': 3,
  'tokenizer.ggml.bos_token_id': 2,
  'tokenizer.ggml.eos_token_id': 1,
  'tokenizer.ggml.padding_token_id': 0,
  'tokenizer.chat_template': '{{ bos_token }}{% for message in messages %}{{ message.content }}{% endfor %}',
};

/** Every way to make a token of two others. */
const merges = tokens.flatMap((token) =>
  Array.from({ length: Math.max(0, token.length - 1) }, (_, i) => [token.slice(0, i + 1), token.slice(i + 1)] as const)
    .filter((parts) => parts.every((part) => tokens.includes(part)))
    .map((parts) => parts.join(' ')),
);
const merged: Json = { ...metadata, 'tokenizer.ggml.model': 'gemma4', 'tokenizer.ggml.merges': merges };

/** The tokenizer in a GGUF's metadata. */
export const tokenizerGgufReader: FuzzReader = {
  name: 'tokenizer-gguf',
  make: (dice) => ({ 'metadata.json': encode(brokenJson(dice.chance(0.5) ? metadata : merged, dice)) }),
  async read({ 'metadata.json': bytes }) {
    let json: unknown;
    try {
      json = JSON.parse(new TextDecoder().decode(bytes));
    } catch {
      return;
    }
    if (typeof json === 'object' && json !== null)
      useTokenizer(await tokenizerFromGguf(json as Record<string, unknown>));
  },
};
