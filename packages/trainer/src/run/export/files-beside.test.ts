import { compileChatTemplate, gemmaChatTemplate, gemma3, modelOf, tokenizerFromJson } from '@lapidary/gemma';
import { describe, expect, it } from 'vitest';
import { exportCases, exportedBeside } from '../../../../../test/support/export-cases.js';
import { fixtureBytes, fixtureJson } from '../../../../../test/support/safetensors-fixture.js';
import { filesBeside, type ExportedModel } from './files-beside.js';

interface Judged {
  readonly encode: readonly { readonly text: string; readonly ids: readonly number[]; readonly decoded: string }[];
  readonly chat:
    | readonly { readonly messages: Parameters<typeof gemmaChatTemplate>[0]; readonly ids: readonly number[] }[]
    | null;
  readonly bos: number;
  readonly pad: number;
  readonly eos: readonly number[];
  readonly processor: string | null;
}

describe.each(exportCases.map((c) => [c.name, c] as const))('%s', (name, exportCase) => {
  it('is what transformers was given, and transformers’ ids, conversations and ends are ours', async () => {
    const files = await exportedBeside(exportCase);
    for (const [file, text] of Object.entries(files))
      expect(text, file).toBe(new TextDecoder().decode(await fixtureBytes(`exports/${name}/${file}`)));
    const tokenizer = await tokenizerFromJson(
      JSON.parse(files['tokenizer.json']!),
      JSON.parse(files['tokenizer_config.json']!),
    );
    const judged = await fixtureJson<Judged>(`exports/${name}/transformers.json`);
    expect(judged.encode.length).toBeGreaterThan(200);
    for (const { text, ids, decoded } of judged.encode) {
      expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids);
      expect(tokenizer.decode(ids), JSON.stringify(text)).toBe(decoded);
    }
    expect(judged).toMatchObject({ bos: tokenizer.bosId, pad: tokenizer.padId });
    expect(judged.eos).toEqual([1, tokenizer.tokenId('<end_of_turn>') ?? 7]);
    const isPaliGemma = name === 'sentencepiece';
    expect(judged.processor).toBe(isPaliGemma ? 'PaliGemmaProcessor' : null);
    expect(judged.chat === null).toBe(isPaliGemma);
    for (const { messages, ids } of judged.chat ?? []) {
      const { text } = gemmaChatTemplate(messages, { bosToken: '<bos>', eosToken: '<eos>', addGenerationPrompt: true });
      expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(ids);
    }
  });
});

it('has the family’s template in Jinja', async () => {
  const { prompt } = modelOf(gemma3.presets['gemma-3-1b']);
  const jinja = await compileChatTemplate(prompt.chatTemplateSource!);
  const user = { role: 'user', content: '  <b>\n ' } as const;
  const model = { role: 'assistant', content: '\n x ' } as const;
  for (const messages of [[user], [user, model], [user, model, user]])
    for (const addGenerationPrompt of [true, false]) {
      const options = { bosToken: '<bos>', eosToken: '<eos>', addGenerationPrompt };
      expect(jinja(messages, options).text).toBe(prompt.chatTemplate!(messages, options).text);
    }
  for (const messages of [[model], [user, user], [{ role: 'system', content: 'x' } as const, user]])
    expect(() => jinja(messages, { bosToken: '', eosToken: '' })).toThrow(/alternate|Only the roles/);
});

describe('a folder', async () => {
  const tokenizerJson = new TextDecoder().decode(await fixtureBytes('tokenizer/tokenizer.json'));
  const configJson = new TextDecoder().decode(await fixtureBytes('tokenizer/tokenizer_config.json'));
  const tokenizer = await tokenizerFromJson(JSON.parse(tokenizerJson), JSON.parse(configJson));
  const model = modelOf({ ...gemma3.presets['gemma-3-1b'], eosTokenIds: [1, 106] });
  const of = async (given: Record<string, string | Error>, change: Partial<ExportedModel> = {}) => {
    const read = async (name: string) => {
      const found = given[name];
      if (found instanceof Error) throw found;
      return found;
    };
    const notices: string[] = [];
    const readBytes = async (name: string) => {
      const text = await read(name);
      return text === undefined ? undefined : new TextEncoder().encode(text);
    };
    const weights = { format: 'safetensors', metadata: {}, readText: read, readBytes } as const;
    const files = await filesBeside({ weights, model, tokenizer, ...change }, (notice) => notices.push(notice));
    return {
      files,
      notices,
      generation: JSON.parse(String(files['generation_config.json'])) as Record<string, unknown>,
    };
  };
  const both = { 'tokenizer.json': tokenizerJson, 'tokenizer_config.json': configJson };

  it('passes its files on as they are', async () => {
    const others = {
      'special_tokens_map.json': '{"bos_token": "<bos>"}',
      'added_tokens.json': '{}',
      'chat_template.jinja': '{{ messages }}',
      'additional_chat_templates/tool_use.jinja': '{{ tools }}',
      'chat_template.json': '{"chat_template": "x"}',
      'preprocessor_config.json': '{"size": 4}',
      'processor_config.json': '{"a": 1}',
    };
    const { files, notices } = await of({ ...both, ...others, 'tokenizer.model': 'pieces', 'README.md': 'no' });
    expect(files).toMatchObject({ ...both, ...others, 'tokenizer.model': new TextEncoder().encode('pieces') });
    expect(files).not.toHaveProperty('README.md');
    expect(notices).toEqual([]);
  });

  it('stops where the source, the model and the tokenizer say', async () => {
    const turn = tokenizer.tokenId('<end_of_turn>');
    expect((await of(both)).generation).toEqual({ bos_token_id: 2, pad_token_id: 0, eos_token_id: [1, 106, turn] });
    const source = { eos_token_id: [1, 50], do_sample: true, top_k: 64, pad_token_id: 3, _from_model_config: true };
    expect((await of({ ...both, 'generation_config.json': JSON.stringify(source) })).generation).toEqual({
      bos_token_id: 2,
      pad_token_id: 3,
      do_sample: true,
      top_k: 64,
      eos_token_id: [1, 50, 106, turn],
    });
    const one = await of({ ...both, 'generation_config.json': '{"eos_token_id": 9}' });
    expect(one.generation['eos_token_id']).toEqual([9, 1, 106, turn]);
  });

  it('tells what could not be read, and loses nothing else over it', async () => {
    const { files, notices, generation } = await of({
      ...both,
      'special_tokens_map.json': new Error('the server answers 503'),
      'generation_config.json': '{"eos_token_id": [1,',
    });
    expect(files).toMatchObject(both);
    expect(generation['eos_token_id']).toContain(1);
    expect(notices).toHaveLength(2);
    expect(notices[0]).toMatch(/^special_tokens_map\.json of the model could not be read.*503/);
    expect(notices[1]).toMatch(/^generation_config\.json/);
  });

  it('says that there is no tokenizer, where it was handed over in code', async () => {
    const { files, notices } = await of({});
    expect(files).not.toHaveProperty('tokenizer.json');
    expect(notices).toEqual([expect.stringMatching(/has no tokenizer/)]);
  });
});
