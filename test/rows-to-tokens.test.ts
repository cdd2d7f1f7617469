// Rows in the forms people have, and what becomes of their marks: what is learned, once each, and what is refused by file and line.
import {
  gemmaChatTemplate,
  gemmaPresets,
  modelOf,
  paliGemmaPresets,
  renderChat,
  type Tokenizer,
  tokenizerFromJson,
  tokenizerFromSentencePiece,
  withChatTemplate,
} from '@lapidary/gemma';
import {
  DatasetError,
  describeTokenised,
  openModel,
  parseRow,
  promptTokens,
  readJsonl,
  tokeniseRows,
  type TokeniseOptions,
} from '@lapidary/trainer';
import { bufferSource, modelWeightLoader } from '@lapidary/weights';
import { describe, expect, it } from 'vitest';
import { chatModelSources } from './support/fixture-sources.js';
import { fixtureBytes, fixtureJson } from './support/safetensors-fixture.js';

const bare = await tokenizerFromJson(await fixtureJson('tokenizer/tokenizer.json'), {
  bos_token: '<bos>',
  eos_token: '<eos>',
});
const own = await tokenizerFromJson(
  await fixtureJson('tokenizer/tokenizer.json'),
  await fixtureJson('tokenizer/tokenizer_config.json'),
);
const forPictures = await tokenizerFromSentencePiece(await fixtureBytes('tokenizer-paligemma/tokenizer.model'));
const model = modelOf(gemmaPresets['gemma-3-270m']);
const pictureModel = modelOf(paliGemmaPresets['paligemma-3b-224']);

const usual: TokeniseOptions = { maxLength: 64, lossOn: 'completion', tooLong: 'error', file: 'rows.jsonl', model };
function tokenise(rows: readonly object[], tokenizer: Tokenizer = own, options: Partial<TokeniseOptions> = {}) {
  const parsed = rows.map((row, i) => parseRow(row, 'rows.jsonl', i + 1));
  const { examples, counts } = tokeniseRows(parsed, tokenizer, { ...usual, ...options });
  return { examples, notices: describeTokenised([counts], options.maxLength ?? usual.maxLength) };
}
/** A row's tokens as texts, what is learned between ⟦ and ⟧. */
function shown(row: object, tokenizer: Tokenizer = own, options: Partial<TokeniseOptions> = {}): string {
  const { tokens, lossMask } = tokenise([row], tokenizer, options).examples[0]!;
  const text = (from: number, to: number) =>
    tokenizer.decode([...tokens.slice(from, to)], { skipSpecialTokens: false });
  let all = '';
  for (let from = 0; from < tokens.length; ) {
    let to = from;
    while (to < tokens.length && lossMask[to] === lossMask[from]) to++;
    all += lossMask[from] ? `⟦${text(from, to)}⟧` : text(from, to);
    from = to;
  }
  return all;
}

describe('marks that are put there anyway stand there once', () => {
  it.each([
    [{ text: 'a lamp' }, '<bos>⟦a lamp<eos>⟧'],
    [{ text: '<bos>a lamp<eos>' }, '<bos>⟦a lamp<eos>⟧'],
    [{ text: '<bos><bos>a lamp' }, '<bos>⟦a lamp<eos>⟧'],
    [{ text: 'a <bos> lamp' }, '<bos>⟦a <bos> lamp<eos>⟧'],
    [{ prompt: '<bos>a', completion: 'lamp<eos>' }, '<bos>a⟦lamp<eos>⟧'],
    [{ prompt: 'a', completion: 'lamp<end_of_turn>' }, '<bos>a⟦lamp<end_of_turn><eos>⟧'],
    [{ prompt: '<eos>a', completion: '<bos>lamp' }, '<bos><eos>a⟦<bos>lamp<eos>⟧'],
  ])('%j', (row, expected) => expect(shown(row)).toBe(expected));

  it('and the run says so, once a file', () => {
    const { notices } = tokenise([{ text: '<bos>a' }, { text: 'b' }, { prompt: 'a', completion: 'b<eos>' }]);
    expect(notices).toEqual([expect.stringMatching(/^2 rows had marks .*once/)]);
    expect(tokenise([{ text: 'a' }, { prompt: '', completion: 'b' }]).notices).toEqual([]);
  });

  it('pictures come before the prompt, whether or not it says so', () => {
    const ids = (prompt: string) => [
      ...tokenise([{ image: 'a.png', prompt, completion: 'x' }], forPictures, { model: pictureModel }).examples[0]!
        .tokens,
    ];
    const plain = ids('caption en');
    for (const prompt of [
      '<image>caption en',
      '<image><bos>caption en',
      '<bos>caption en',
      '<image><image><bos>caption en',
    ])
      expect(ids(prompt), prompt).toEqual(plain);
    expect(() => ids('caption <image> en')).toThrow(DatasetError);
    expect(() => ids('caption <image> en')).toThrow(/^rows\.jsonl:1: .*<image> within it/);
  });
});

describe('conversations', () => {
  const user = (content: unknown) => ({ role: 'user', content });
  const assistant = (content: unknown, more: object = {}) => ({ role: 'assistant', content, ...more });

  it('only what the model says is learned, whatever the others write', () => {
    const content = 'Explain: <start_of_turn>model\nSECRET<end_of_turn>\n ok';
    const expected = `<bos><start_of_turn>user\n${content}<end_of_turn>\n<start_of_turn>model\n⟦hello<end_of_turn>⟧\n`;
    for (const tokenizer of [own, bare])
      expect(shown({ messages: [user(content), assistant('hello')] }, tokenizer)).toBe(expected);
  });

  it('are read in OpenAI’s form', () => {
    const text = '<bos><start_of_turn>user\na b<end_of_turn>\n<start_of_turn>model\n⟦c<end_of_turn>⟧\n';
    const parts = [
      { type: 'text', text: 'a ' },
      { type: 'text', text: 'b' },
    ];
    expect(shown({ messages: [user(parts), assistant('c')] })).toBe(text);
    expect(shown({ messages: [user('a b'), assistant('c', { tool_calls: null })], tools: null })).toBe(text);
    expect(shown({ messages: [user('a b'), { role: 'model', content: [{ type: 'text', text: 'c' }] }] })).toBe(text);
    const weights = [user('a'), assistant('b', { weight: 0 }), user('c'), assistant('d', { weight: 1 })];
    expect(shown({ messages: weights })).toMatch(/^[^⟦]*⟦d<end_of_turn>⟧\n$/);
  });

  it('of which only the last turn is learned, where lossOn says so', () => {
    const messages = [user('a'), assistant('b'), user('c'), assistant('d')];
    const last = { lossOn: 'last' } as const;
    const expected = shown({ messages: [user('a'), assistant('b', { weight: 0 }), user('c'), assistant('d')] });
    for (const tokenizer of [own, bare]) expect(shown({ messages }, tokenizer, last)).toBe(expected);
    expect(expected).toMatch(/^[^⟦]*⟦d<end_of_turn>⟧\n$/);
    expect(shown({ messages: [user('a'), assistant('b')] }, own, last)).toBe(
      shown({ messages: [user('a'), assistant('b')] }),
    );
    expect(shown({ prompt: 'a', completion: 'b' }, own, last)).toBe('<bos>a⟦b<eos>⟧');
    expect(shown({ text: 'a' }, own, last)).toBe('<bos>⟦a<eos>⟧');
    const unlearned = [...messages.slice(0, 3), assistant('d', { weight: 0 })];
    expect(() => tokenise([{ messages: unlearned }], own, last)).toThrow(/^rows\.jsonl:1: there is nothing to learn/);
  });

  it('as prompt and completion: the completion is learned', () => {
    const expected = shown({ messages: [user('a'), assistant('b', { weight: 0 }), user('c'), assistant('d')] });
    const prompt = [user('a'), assistant('b'), user('c')];
    expect(shown({ prompt, completion: [assistant('d')] })).toBe(expected);
    expect(shown({ prompt, completion: 'd' })).toBe(expected);
  });

  it('a sample is asked as it was learned', () => {
    const row = parseRow({ messages: [user('a'), assistant('b'), user('c'), assistant('d')] }, 'f', 1);
    expect(own.decode(promptTokens(row, own, model), { skipSpecialTokens: false })).toBe(
      '<bos><start_of_turn>user\na<end_of_turn>\n<start_of_turn>model\nb<end_of_turn>\n<start_of_turn>user\nc<end_of_turn>\n<start_of_turn>model\n',
    );
  });

  it('numbers are written as the row has them', async () => {
    const { source, rows } = await fixtureJson<{
      readonly source: string;
      readonly rows: readonly { readonly line: string; readonly text: string }[];
    }>('chat/python.json');
    const tokenizer = await withChatTemplate(bare, { default: source });
    for (const { line, text } of rows) {
      const [row] = readJsonl(line, 'rows.jsonl', parseRow);
      const { messages, tools } = row as Extract<typeof row, { readonly messages: unknown }>;
      expect(renderChat(tokenizer, messages, { template: gemmaChatTemplate, ...(tools && { tools }) })).toBe(text);
    }
  });

  it('errors name file and line', () => {
    const rows = [
      ...Array.from({ length: 700 }, () => ({ messages: [user('hi'), assistant('hello')] })),
      { messages: [user('hi'), user('hi')] },
    ];
    const text = rows.map((row) => JSON.stringify(row)).join('\n');
    const parsed = readJsonl(text, 'far.jsonl', parseRow);
    expect(() => tokeniseRows(parsed, bare, { ...usual, file: 'far.jsonl' })).toThrow(
      /^far\.jsonl:701: message 2 is from 'user'/,
    );
    expect(() => tokenise([{ messages: [user('x'), assistant(null)] }])).toThrow(
      /^rows\.jsonl:1: message 2 .*no content/,
    );
    const call = assistant(null, { tool_calls: [{ function: { name: 'f', arguments: '{}' } }] });
    expect(() => tokenise([{ text: 'a' }, { messages: [user('x'), call] }])).toThrow(
      /^rows\.jsonl:2: message 2 has 'tool_calls'/,
    );
    expect(() => tokenise([{ messages: [user('x'), assistant('y')], tools: [{}] }])).toThrow(/^rows\.jsonl:1: .*tools/);
  });

  it('a model without a template says how they were written; one that knows no conversation says what it learns from', () => {
    const rows = [{ messages: [user('a'), assistant('b')] }];
    expect(tokenise(rows, bare).notices).toEqual([
      expect.stringMatching(/without a chat template.*chat_template\.jinja/),
    ]);
    expect(tokenise(rows, own).notices).toEqual([]);
    expect(() => tokenise(rows, forPictures, { model: pictureModel })).toThrow(/learns from rows such as/);
  });
});

describe('forms', () => {
  it.each([
    { prompt: 'a \ud83d b', completion: 'c' },
    { prompt: 'a', completion: 'half: \udc00' },
    { text: '\ud800' },
    {
      messages: [
        { role: 'user', content: 'x\udfff' },
        { role: 'assistant', content: 'y' },
      ],
    },
  ])('half of a surrogate pair is no text, as for transformers: %j', (row) => {
    expect(() => tokenise([{ text: 'whole 😀' }, row])).toThrow(DatasetError);
    expect(() => tokenise([{ text: 'whole 😀' }, row])).toThrow(
      /rows\.jsonl:2: .*half (of a surrogate pair, U\+D|a character)/,
    );
  });

  it('null stands for nothing', () => {
    expect(shown({ prompt: 'a', completion: 'b', image: null, images: null })).toBe('<bos>a⟦b<eos>⟧');
    const turn = (role: string, content: string) => ({ role, content, name: null, tool_call_id: null, weight: null });
    expect(parseRow({ messages: [turn('user', 'a'), turn('assistant', 'b')] }, 'f', 1)).toEqual({
      messages: [
        { role: 'user', content: 'a' },
        { role: 'assistant', content: 'b' },
      ],
      line: 1,
    });
  });

  const turns = {
    messages: [
      { role: 'user', content: 'a' },
      { role: 'assistant', content: 'b' },
    ],
  };
  const asked = { messages: [{ role: 'system', content: 's' }, ...turns.messages] };
  it.each<[string, object, object]>([
    [
      'ShareGPT',
      {
        conversations: [
          { from: 'human', value: 'a' },
          { from: 'gpt', value: 'b' },
        ],
      },
      turns,
    ],
    [
      'ShareGPT with other names',
      {
        id: 'x',
        conversations: [
          { from: 'user', value: 'a' },
          { from: 'assistant', value: 'b' },
        ],
      },
      turns,
    ],
    [
      'ShareGPT with a system',
      {
        conversations: [
          { from: 'system', value: 's' },
          { from: 'human', value: 'a' },
          { from: 'gpt', value: 'b' },
        ],
      },
      asked,
    ],
    [
      'ShareGPT with a system beside it',
      {
        system: 's',
        conversations: [
          { from: 'human', value: 'a' },
          { from: 'gpt', value: 'b' },
        ],
      },
      asked,
    ],
    [
      'ShareGPT with a weight',
      {
        conversations: [
          { from: 'human', value: 'a' },
          { from: 'gpt', value: 'b', weight: 1 },
        ],
      },
      { messages: [turns.messages[0], { ...turns.messages[1], weight: 1 }] },
    ],
    ['OpenAI under another name', { conversations: turns.messages }, turns],
    ['tools as JSON', { ...turns, tools: '[{"name":"f"}]' }, { ...turns, tools: [{ name: 'f' }] }],
    ['no tools', { ...turns, tools: '' }, turns],
    ['Alpaca', { instruction: 'Add.', input: '1, 2', output: '3' }, { prompt: 'Add.\n\n1, 2', completion: '3' }],
    [
      'Alpaca without input',
      { instruction: 'Hello', input: '', output: 'Hi', text: 'Below is …' },
      { prompt: 'Hello', completion: 'Hi' },
    ],
    [
      'Alpaca with a system',
      { system: 's', instruction: 'a', output: 'b', history: [] },
      { prompt: 's\n\na', completion: 'b' },
    ],
    ['big_vision', { prefix: 'a', suffix: 'b', image: 'c.png' }, { prompt: 'a', completion: 'b', image: 'c.png' }],
  ])('%s', (_, row, expected) => expect(parseRow(row, 'rows.jsonl', 7)).toEqual({ ...expected, line: 7 }));

  it.each<[object, RegExp]>([
    [
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] },
      /messages\.0\.content\.0\.image_url.*must be a URL/,
    ],
    [{ messages: [{ role: 'robot', content: 'x' }] }, /messages\.0\.role/],
    [{ messages: [{ role: 'user', content: 7 }] }, /messages\.0\.content/],
    [{ messages: [{ role: 'user', content: 'x', weight: 2 }] }, /messages\.0\.weight/],
    [{ messages: [], functions: [] }, /'functions' are called|functions are called 'tools'/],
    [
      { conversations: [{ from: 'robot', value: 'x' }] },
      /'conversations\.0\.from': it must be one of human, .* not "robot"/,
    ],
    [{ conversations: [{ from: 'human' }] }, /'conversations\.0\.value': it must be a text/],
    [{ conversations: ['x'] }, /'conversations\.0': a turn must be an object/],
    [{ conversations: {} }, /'conversations': it must be a list/],
    [{ conversations: [{ from: 'human', value: 'x' }], tools: '[{' }, /'tools': it is a text, but no JSON/],
    [{ instruction: 'x', input: 7, output: 'y' }, /'input': it must be a text/],
    [{ instruction: 'x', output: 'y', history: [['a', 'b']] }, /'history'.*\{messages\}/],
    [{ instruction: 'x', output: '' }, /'completion': must not be empty/],
    [{ prompt: 'x', chosen: 'y', rejected: 'z' }, /preferences/],
    [
      { question: 'x', answer: 'y' },
      /this one has: question, answer\..*`data\.promptKey` to 'question' and `data\.completionKey` to 'answer'/,
    ],
    [{ id: 1, body: 'x' }, /if 'body' is a text to learn as it stands, call it 'text'/],
    [{ a: 1, b: 2 }, /this one has: a, b\. say with `data\.promptKey`/],
    [{}, /this one has: nothing/],
    [{ messages: [{ role: 'user', content: [{ type: 'audio' }] }] }, /parts of a conversation must be/],
    [{ prompt: 'x', completion: [{ role: 'assistant', content: 'y' }] }, /'completion'/],
    [{ prompt: [7], completion: 'y' }, /messages\.0/],
  ])('%j is refused by name', (row, message) => {
    expect(() => parseRow(row, 'rows.jsonl', 3)).toThrow(DatasetError);
    expect(() => parseRow(row, 'rows.jsonl', 3)).toThrow(/^rows\.jsonl:3: /);
    expect(() => parseRow(row, 'rows.jsonl', 3)).toThrow(message);
  });
});

describe('rows that are too long', () => {
  const long = { prompt: 'word '.repeat(100), completion: 'x' };
  const rows = [{ prompt: 'hi', completion: 'hello' }, long, { prompt: 'hi', completion: 'word '.repeat(100) }];

  it('cut, those of which nothing to learn is left are left out, and told', () => {
    const { examples, notices } = tokenise(rows, own, { tooLong: 'truncate' });
    expect(examples.map(({ row }) => row.line)).toEqual([1, 3]);
    expect(notices).toEqual([
      expect.stringMatching(/1 row was cut to 64 tokens/),
      expect.stringMatching(/1 row was left out: cut to 64 tokens, nothing to learn is left of it/),
    ]);
    expect(() => tokenise([long], own, { tooLong: 'truncate' })).toThrow(/none of the 1 rows/);
  });

  it('left out, or an error', () => {
    expect(tokenise(rows, own, { tooLong: 'skip' }).examples).toHaveLength(1);
    expect(() => tokenise(rows)).toThrow(/^rows\.jsonl:2: .*tokens, but maxLength is 64/);
  });
});

describe('the template is the one that came with the model', () => {
  const noted = (note: string) =>
    `{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'model' if m['role']=='assistant' else m['role'] }}\n${note} {{ m['content'] | trim }}<end_of_turn>\n{% endfor %}`;
  const source = (name: string, text: string) => bufferSource(name, new TextEncoder().encode(text));
  const textOf = async (...files: ReturnType<typeof bufferSource>[]) => {
    const names = new Set(files.map(({ name }) => name));
    const model = await chatModelSources();
    const from = [...model.filter(({ name }) => !names.has(name)), ...files];
    const open = await openModel(modelWeightLoader({ from }));
    await open.weights.close();
    const row = {
      messages: [
        { role: 'user', content: 'hi' },
        { role: 'assistant', content: 'hello' },
      ],
    };
    return shown(row, open.tokenizer, { model: open.model });
  };
  const configWith = (template: unknown) =>
    source(
      'tokenizer_config.json',
      JSON.stringify({ bos_token: '<bos>', eos_token: '<eos>', chat_template: template }),
    );

  it('a file of its own wins, then a text or a list in tokenizer_config.json', async () => {
    expect(await textOf()).not.toContain('NOTE');
    expect(await textOf(configWith(noted('TEXTNOTE')))).toContain('TEXTNOTE hi');
    const list = [
      { name: 'tool_use', template: noted('TOOLNOTE') },
      { name: 'default', template: noted('LISTNOTE') },
    ];
    expect(await textOf(configWith(list))).toContain('LISTNOTE hi');
    const file = source('chat_template.jinja', noted('FILENOTE'));
    expect(await textOf(configWith(list), file)).toContain('FILENOTE hi');
  });

  it('what is no template is an error that names the file', async () => {
    await expect(textOf(configWith(7))).rejects.toThrow(/tokenizer_config\.json: chat_template/);
    await expect(textOf(source('tokenizer_config.json', '{"bos_token": '))).rejects.toThrow(
      /tokenizer_config\.json is no JSON/,
    );
  });
});
