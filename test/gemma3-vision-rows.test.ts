// Conversations and prompts with pictures anywhere in them, as Gemma3Processor of transformers writes them (test/fixtures/tokenizer-gemma3).
import {
  encodeChat,
  encodeChatPrompt,
  gemma3VisionConfigFromHf,
  modelOf,
  specialTexts,
  stopTokensOf,
  tokenizerFromJson,
  type ChatMessage,
} from '@lapidary/gemma';
import { bindCompletion, parseRow, type CompletionExample, type TextualRow } from '@lapidary/trainer';
import { describe, expect, it } from 'vitest';
import { pngOf } from '../packages/gemma/src/image/testing/made-up-pictures.js';
import { fixtureJson } from './support/safetensors-fixture.js';

interface Cases {
  readonly chats: readonly { messages: ChatMessage[]; addGenerationPrompt: boolean; ids: number[] }[];
  readonly prompts: readonly { text: string; pictures: number; ids: number[] }[];
}

const tokenizer = await tokenizerFromJson(
  await fixtureJson('tokenizer-gemma3/tokenizer.json'),
  await fixtureJson('tokenizer-gemma3/tokenizer_config.json'),
);
/** Without a template: the family's own turns. */
const bare = await tokenizerFromJson(await fixtureJson('tokenizer-gemma3/tokenizer.json'), {
  bos_token: '<bos>',
  eos_token: '<eos>',
});
const model = modelOf(gemma3VisionConfigFromHf(await fixtureJson('models/gemma3-vision-tiny/config.json')));
const { chats, prompts } = await fixtureJson<Cases>('tokenizer-gemma3/cases.json');
const vision = model.vision!;
const options = {
  template: model.prompt.chatTemplate!,
  stopTokens: stopTokensOf(model, tokenizer),
  pictureText: model.prompt.pictureText,
};
const image = { type: 'image' } as const;
const text = (said: string) => ({ type: 'text', text: said }) as const;
const png = await pngOf(
  2,
  8,
  [
    [0, 0, 0, 255, 255, 255],
    [9, 9, 9, 80, 0, 0],
  ],
  { width: 2, height: 2 },
);

const limits = {
  maxLength: 64,
  batchSize: 2,
  packing: false,
  seed: 0,
  sampleCount: 0,
  sampleTokens: 0,
  imagePreset: null,
};
const task = bindCompletion(model, { settings: { labelSmoothing: 0 }, limits, weightFormat: 'safetensors' });
const empty = { rows: [], file: 'none', options: { lossOn: 'completion', tooLong: 'error' } } as const;
async function encode(
  rows: readonly object[],
  how: { readonly tooLong?: 'truncate' | 'error'; readonly lossOn?: 'all'; readonly maxLength?: number } = {},
) {
  const { maxLength = 64, ...given } = how;
  const bound = bindCompletion(model, {
    settings: { labelSmoothing: 0 },
    limits: { ...limits, maxLength },
    weightFormat: 'safetensors',
  });
  const source = {
    rows: rows.map((row, i) => parseRow(row, 'rows.jsonl', i + 1)),
    file: 'rows.jsonl',
    options: { ...empty.options, ...given },
  };
  return bound.encode(source, empty, { tokenizer, readImage: async () => png });
}
const shown = ({ tokens, lossMask }: CompletionExample) =>
  [...tokens]
    .map((id, i) => `${lossMask[i] ? '_' : ''}${tokenizer.decode([id], { skipSpecialTokens: false })}`)
    .join('')
    .replaceAll('<image_soft_token>', '#');

describe('as Gemma3Processor', () => {
  it.each(chats.map((each, i) => [i, each] as const))(
    'conversation %i',
    (_, { messages, addGenerationPrompt, ids }) => {
      const found = addGenerationPrompt
        ? encodeChatPrompt(tokenizer, messages, options)
        : encodeChat(tokenizer, messages, options).tokens;
      expect(found).toEqual(ids);
    },
  );

  it.each(prompts)('prompt $text', ({ text: prompt, pictures, ids }) => {
    expect(model.prompt.encodePrompt(prompt, tokenizer, pictures)).toEqual(ids);
    // Data sets' mark for whatever model; and without any they come first.
    expect(model.prompt.encodePrompt(prompt.replaceAll('<start_of_image>', '<image>'), tokenizer, pictures)).toEqual(
      ids,
    );
    expect(() => model.prompt.encodePrompt(prompt, tokenizer, pictures + 1)).toThrow(/the text says at \d places/);
  });
});

it("learns the model's turns alone, around whatever pictures", async () => {
  const messages = [
    { role: 'user', content: [text('Is'), image, text('darker than'), image, text('?')] },
    { role: 'assistant', content: 'Yes.' },
    { role: 'user', content: 'And' },
    { role: 'assistant', content: 'No.' },
  ];
  const { train } = await encode([{ messages, images: ['a.png', 'b.png'] }]);
  expect(shown(train[0]!)).toMatch(/^<bos><start_of_turn>user\nIs\n\n<start_of_image>####<end_of_image>\n\nd.*/s);
  const learned = [...train[0]!.tokens].filter((_, i) => train[0]!.lossMask[i]);
  expect(tokenizer.decode(learned, { skipSpecialTokens: false })).toBe('Yes.<end_of_turn>No.<end_of_turn>');
  expect(train[0]).toMatchObject({ patches: 8 });
  // Pictures are nothing to learn, whatever else is.
  const all = (await encode([{ messages, images: ['a.png', 'b.png'] }], { lossOn: 'all' })).train[0]!;
  expect([...all.tokens].map((id, i) => id === vision.imageToken && all.lossMask[i] === 1)).not.toContain(true);
});

it('takes every form that rows have, as one', async () => {
  const answer = { role: 'assistant', content: 'Yes.' };
  const user = (content: unknown) => ({ role: 'user', content });
  const forms = [
    { messages: [user([image, text('Dark?')]), answer], images: ['a.png'] },
    { messages: [user([{ type: 'image', image: 'a.png' }, text('Dark?')]), answer] },
    { messages: [user([{ type: 'image', url: 'a.png' }, text('Dark?')]), answer] },
    { messages: [user([{ type: 'image', path: 'a.png' }, text('Dark?')]), answer] },
    { messages: [user([{ type: 'image_url', image_url: { url: 'a.png' } }, text('Dark?')]), answer] },
    { messages: [user('<image>Dark?'), answer], images: ['a.png'] },
    { messages: [user('<start_of_image>Dark?'), answer], image: 'a.png' },
    { messages: [user('Dark?'), answer], image: 'a.png' },
    { prompt: [user('Dark?')], completion: [answer], images: ['a.png'] },
  ];
  const { train } = await encode(forms);
  const [first, ...others] = train.map(shown);
  expect(first).toContain('user\n\n\n<start_of_image>####<end_of_image>\n\nD');
  for (const other of others) expect(other).toBe(first);
});

it('refuses rows whose pictures do not stand where they are said to', async () => {
  const turns = (content: unknown) => [
    { role: 'user', content },
    { role: 'assistant', content: 'Yes.' },
  ];
  const refused = (row: object) => expect(Promise.resolve().then(() => encode([row]))).rejects;
  await refused({ messages: turns([image, image]), images: ['a.png'] }).toThrow(
    /rows\.jsonl:1: there are 1 pictures .* 2 places/,
  );
  await refused({ messages: turns([image]) }).toThrow(/0 pictures beside the messages, but these have 1 places/);
  await refused({ messages: turns('<image> <image>'), images: ['a.png'] }).toThrow(/1 pictures .* 2 places/);
  await refused({ messages: turns([{ type: 'video', video: 'a.mp4' }]) }).toThrow(/parts of a conversation must be/);
  await refused({ messages: turns([{ type: 'image', base64: 'AAAA' }]) }).toThrow(/content/);
  // What stands for a picture, said by somebody.
  await refused({ messages: turns('<image_soft_token>') }).toThrow(/0 pictures take 0 places among the tokens, but 1/);
  await refused({ prompt: '<start_of_image><start_of_image>', completion: 'x', image: 'a.png' }).toThrow(
    /1 pictures, but the text says at 2 places/,
  );
});

it('makes batches of rows with different numbers of pictures', async () => {
  const row = (pictures: number, said: string) => ({
    prompt: `${'<image>'.repeat(pictures)}${said}`,
    completion: 'Yes.',
    images: Array.from({ length: pictures }, () => png),
  });
  const { train } = await encode([row(0, 'a'), row(2, 'b'), row(1, 'c')]);
  const shapes = task.shapes(train);
  const { inputs, shape } = await task.collate([train[1]!, train[2]!], shapes);
  expect(shape).toMatchObject({ batch: 2, pictures: 3 });
  expect(inputs.patches).toHaveLength(3 * vision.patchesPerImage * vision.patchValues);
  const rows = [...inputs.pictureRows!].filter((place) => place >= 0);
  expect(rows).toEqual(Array.from({ length: 12 }, (_, i) => i));
  expect([...inputs.inputIds].filter((id) => id === -1)).toHaveLength(12);
  // All of a picture is one block, which what follows sees, and what is before it does not.
  const { length } = shape;
  const record = (place: number) => [...inputs.tokenInfo.subarray(place * 4, place * 4 + 3)];
  const first = [...inputs.pictureRows!].indexOf(8);
  expect(Math.floor(first / length)).toBe(1);
  for (let i = 0; i < 4; i++) expect(record(first + i)).toEqual([1, first - length, first + i - length]);
  expect(record(first + 4)).toEqual([1, first + 4 - length, first + 4 - length]);
  // A batch of text alone has no picture, but room for one where others have some.
  const alone = await task.collate([train[0]!], task.shapes([train[0]!]));
  expect(alone.shape).not.toHaveProperty('pictures');
  expect(alone.inputs).not.toHaveProperty('patches');
});

it('cuts text, never a picture', async () => {
  const row = { prompt: `<image>${'a '.repeat(12)}<image>`, completion: 'Yes it is.', images: ['a.png', 'b.png'] };
  const whole = (await encode([row])).train[0]!;
  const cut = await encode([row], { tooLong: 'truncate', maxLength: whole.length - 8 - 2 });
  expect(cut.train[0]).toMatchObject({ length: whole.length - 2, patches: 8 });
  const other: TextualRow = parseRow({ prompt: 'a', completion: 'b' }, 'rows.jsonl', 2);
  const left = await encode([row, other], { tooLong: 'truncate', maxLength: 8 });
  expect(left.train).toHaveLength(1);
  expect(left.notices.join()).toMatch(/1 row of more than 8 tokens was left out/);
  await expect(encode([row], { maxLength: 8 })).rejects.toThrow(
    /tokens beside 8 places of pictures, but maxLength is 8/,
  );
});

it("writes them in the family's own turns where the model came without a template", () => {
  const messages: ChatMessage[] = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: [image, text('Dark?')] },
    { role: 'assistant', content: 'Yes.' },
  ];
  const { tokens, lossMask } = encodeChat(bare, messages, options);
  const written = bare.decode(tokens, { skipSpecialTokens: false }).replaceAll('<image_soft_token>', '#');
  expect(written).toBe(
    `${specialTexts(bare).bosToken}<start_of_turn>user\nBe brief.\n\n\n\n<start_of_image>####<end_of_image>\n\nDark?<end_of_turn>\n<start_of_turn>model\nYes.<end_of_turn>\n`,
  );
  const learned = tokens.filter((_, i) => lossMask[i]);
  expect(bare.decode(learned, { skipSpecialTokens: false })).toBe('Yes.<end_of_turn>');
});
