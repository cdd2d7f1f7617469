// Rows and questions for a model whose template came with it alone, and takes more than messages (test/fixtures/chat/turns.json).
import {
  gemma4Prompt,
  gemmaPresets,
  type Model,
  modelOf,
  paliGemmaPresets,
  stopTokensOf,
  tokenizerFromJson,
  withChatTemplate,
} from '@lapidary/gemma';
import {
  describeTokenised,
  expectedAnswer,
  openEvalData,
  parseRow,
  promptTokens,
  tokeniseRows,
  type TokeniseOptions,
} from '@lapidary/trainer';
import { describe, expect, it } from 'vitest';
import { encodeAsked } from '../packages/lapidary/src/answer-session.js';
import { fixtureJson } from './support/safetensors-fixture.js';

const bare = await tokenizerFromJson(
  await fixtureJson('tokenizer-merges/tokenizer.json'),
  await fixtureJson('tokenizer-merges/tokenizer_config.json'),
);
const { templates } = await fixtureJson<{ templates: Record<'small' | 'large', { plain: string }> }>('chat/turns.json');
const small = await withChatTemplate(bare, { default: templates.small.plain });
const model: Model = { ...modelOf(gemmaPresets['gemma-3-270m']), prompt: gemma4Prompt };
const usual: TokeniseOptions = { maxLength: 256, lossOn: 'completion', tooLong: 'error', file: 'rows.jsonl', model };

/** A row's text, and what of it is learned. */
function encoded(row: object, options: Partial<TokeniseOptions> = {}, tokenizer = small) {
  const parsed = [parseRow(row, 'rows.jsonl', 1)];
  const { tokens, lossMask } = tokeniseRows(parsed, tokenizer, { ...usual, ...options }).examples[0]!;
  const textOf = (ids: number[]) => tokenizer.decode(ids, { skipSpecialTokens: false });
  return { text: textOf([...tokens]), learned: textOf([...tokens].filter((_, i) => lossMask[i] === 1)) };
}
const user = (content: string) => ({ role: 'user', content });
const thought = { role: 'assistant', content: 'So.', reasoning_content: 'It is late.' };
const thinking = { chat_template_kwargs: { enable_thinking: true } };

describe('rows', () => {
  it('of texts and completions begin with <bos>, which the tokenizer does not put there', () => {
    expect(encoded({ text: 'The lamp' })).toEqual({ text: '<bos>The lamp<eos>', learned: 'The lamp<eos>' });
    expect(encoded({ text: '<bos>The lamp' }).text).toBe('<bos>The lamp<eos>');
    expect(encoded({ prompt: 'The lamp', completion: ' by' })).toEqual({
      text: '<bos>The lamp by<eos>',
      learned: ' by<eos>',
    });
    expect(encoded({ text: 'The lamp' }, {}, bare).text).toBe('<bos>The lamp<eos>');
  });

  it('say what the template takes', () => {
    const row = { messages: [user('Why?'), thought] };
    expect(encoded({ ...row, ...thinking })).toEqual({
      text: '<bos><|turn>system\n<|think|>\n<turn|>\n<|turn>user\nWhy?<turn|>\n<|turn>model\n<|channel>thought\nIt is late.\n<channel|>So.<turn|>\n',
      learned: '<|channel>thought\nIt is late.\n<channel|>So.<turn|>',
    });
    expect(encoded(row).text).not.toContain('<|think|>');
    expect(encoded({ prompt: [user('Why?')], completion: [thought], ...thinking }).text).toContain('<|think|>');
    expect(() => encoded({ messages: [user('Why?'), thought], chat_template_kwargs: { thinking: true } })).toThrow(
      /rows.jsonl:1: .*knows no 'thinking'/,
    );
    expect(() => encoded({ prompt: 'Why?', completion: 'So.', ...thinking })).toThrow(/'chat_template_kwargs'/);
  });

  it('with thoughts in several turns teach the last', () => {
    const row = { messages: [user('Why?'), thought, user('And?'), thought], ...thinking };
    expect(() => encoded(row)).toThrow(/rows.jsonl:1: .*message 2 .*lossOn 'last'/);
    expect(encoded(row, { lossOn: 'last' }).learned).toBe('<|channel>thought\nIt is late.\n<channel|>So.<turn|>');
    expect(encoded(row, { lossOn: 'all' }).text).toContain('<|turn>model\nSo.<turn|>\n<|turn>user\nAnd?');
  });

  it('with thoughts that the template does not ask for are told of', () => {
    const notices = (row: object, tokenizer = small) => {
      const { counts } = tokeniseRows([parseRow(row, 'rows.jsonl', 1)], tokenizer, usual);
      return describeTokenised([counts], usual.maxLength);
    };
    const row = { messages: [user('Why?'), thought] };
    expect(notices(row)).toEqual([expect.stringMatching(/^1 row of messages has thoughts.*enable_thinking: true/)]);
    expect(notices({ ...row, ...thinking })).toEqual([]);
    expect(notices({ ...row, chat_template_kwargs: { enable_thinking: false } })).toEqual([]);
    expect(notices({ messages: [user('Why?'), { ...thought, reasoning_content: '' }] })).toEqual([]);
  });

  it('take what all rows of a source are told, and their own before it', async () => {
    const data = {
      format: 'auto',
      lossOn: 'completion',
      tooLong: 'error',
      chatTemplateKwargs: { enable_thinking: true, preserve_thinking: true },
      source: [
        { messages: [user('a'), thought] },
        { messages: [user('a'), thought], chat_template_kwargs: { enable_thinking: false } },
      ],
    } as const;
    const encode = async ({ rows }: { rows: readonly unknown[] }) => ({
      train: rows as never[],
      held: [],
      notices: [],
    });
    const { train } = await openEvalData(data, { parseRow }, { encode } as never, { tokenizer: small, model } as never);
    expect((train as readonly { chat_template_kwargs?: unknown }[]).map((row) => row.chat_template_kwargs)).toEqual([
      { enable_thinking: true, preserve_thinking: true },
      { enable_thinking: false, preserve_thinking: true },
    ]);
  });

  it('expect answers as the model writes them, after prompts that ask for them so', () => {
    const row = parseRow({ messages: [user('Why?'), thought], ...thinking }, 'rows.jsonl', 1);
    expect(expectedAnswer(row, small, model)).toBe('<|channel>thought\nIt is late.\n<channel|>So.');
    expect(small.decode(promptTokens(row, small, model), { skipSpecialTokens: false })).toMatch(
      /^<bos><\|turn>system\n<\|think\|>.*<\|turn>model\n$/s,
    );
  });

  it('of conversations need the template that was published with the model', () => {
    expect(() => encoded({ messages: [user('Why?'), thought] }, {}, bare)).toThrow(
      /rows.jsonl:1: .* came without a chat template.*chat_template.jinja/,
    );
  });
});

describe('questions', () => {
  const asked = { model, tokenizer: small, format: 'safetensors', listsEnds: true } as const;
  const question = [{ role: 'user', content: 'Why?' }] as const;
  const chatTemplateKwargs = { enable_thinking: true };

  it('of a conversation end with a turn or where a response is to come, of a text where the model says', async () => {
    const { stopTokens } = await encodeAsked(asked, question, {});
    for (const mark of ['<turn|>', '<|tool_response>', '<eos>']) expect(stopTokens).toContain(small.tokenId(mark));
    expect(stopTokens).toEqual(stopTokensOf(model, small));
    expect((await encodeAsked(asked, 'Why?', {})).stopTokens).toEqual(model.eosTokenIds);
  });

  it('may open a thought, which the answer then begins with', async () => {
    expect((await encodeAsked(asked, question, { chatTemplateKwargs })).opening).toBe('');
    const called = { role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: '{}' } }] } as const;
    const responded = [...question, called, { role: 'tool', name: 'f', content: 'dry' }] as const;
    expect((await encodeAsked(asked, responded, { chatTemplateKwargs })).opening).toBe('<|channel>thought\n');
    expect((await encodeAsked(asked, responded, {})).opening).toBe('');
  });

  it('need the template that was published with the model, and a template for what it takes', async () => {
    await expect(encodeAsked({ ...asked, tokenizer: bare }, question, {})).rejects.toThrow(
      /came without a chat template/,
    );
    expect((await encodeAsked({ ...asked, tokenizer: bare }, 'Why?', {})).prompt.tokens[0]).toBe(bare.bosId);
    await expect(encodeAsked(asked, 'Why?', { chatTemplateKwargs })).rejects.toThrow(
      /chat_template_kwargs, which only/,
    );
    const pictures = { ...asked, model: modelOf(paliGemmaPresets['paligemma-3b-224']) };
    await expect(encodeAsked(pictures, question, { chatTemplateKwargs })).rejects.toThrow(
      /chat_template_kwargs, which only/,
    );
  });
});
