import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCli } from '../cli-node.js';
import { engine as nodeEngine, loaderOf } from '../engine-node.js';
import type { Engine } from '../engine.js';
import { createStandInEngine } from '../testing/stand-in-engine.js';
import { TextModel } from '../text-model.js';

interface Talk {
  readonly engine?: Engine;
  readonly stdin?: NodeJS.ReadableStream;
  readonly signal?: AbortSignal;
  readonly onOut?: (text: string) => void;
}

async function talk(args: readonly string[], lines: readonly string[], how: Talk = {}) {
  const { engine = createStandInEngine().engine, signal, onOut } = how;
  const stdin = how.stdin ?? Readable.from([lines.join('\n')]);
  let [out, err] = ['', ''];
  const code = await runCli(['chat', '--model', 'm', ...args], {
    engine,
    version: '1.2.3',
    stdin,
    ...(signal && { signal }),
    out: (text) => {
      out += text;
      onOut?.(text);
    },
    err: (text) => (err += text),
  });
  return { code, out, err };
}

/** A terminal: keys come as they are typed. */
const terminal = () => Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => undefined });

test('what was said stays known until /reset; adapters change hands, and empty lines are none', async () => {
  const lines = ['one', '', '  two ', '/base', 'three', '/adapter b', 'four', '/reset', 'five', '/quit', 'six'];
  const { code, out, err } = await talk(['--adapter', 'runs/a', '--adapter', 'b=runs/x'], lines);
  expect({ code, out }).toEqual({ code: 0, out: 'a 1: one\na 3: two\nbase 5: three\nb 7: four\nb 1: five\n' });
  expect(err).toBe('The model by itself answers from now on.\nThe adapter b answers from now on.\nAll is forgotten.\n');
});

test('an adapter that has learned no turns is told of', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lapidary-chat-'));
  try {
    for (const [rows, notice] of [
      ['completion', /^Note: The adapter raw was trained on rows \{prompt, completion\}, not on turns/],
      ['messages', /^$/],
    ] as const) {
      await writeFile(join(folder, 'run.json'), JSON.stringify({ format: 'lapidary-run-1', config: {}, rows }));
      const { code, err } = await talk(['--adapter', `raw=${folder}`], ['one']);
      expect(code).toBe(0);
      expect(err).toMatch(notice);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('pictures stay until /reset; wrong commands are told, and the conversation goes on', async () => {
  const lines = [
    '/image none.png',
    '/image',
    '/image stone.png',
    'what?',
    '/adapter',
    '/adapter x',
    '/who',
    '/help',
    '/reset',
    'so?',
  ];
  const { code, out, err } = await talk([], lines);
  expect({ code, out }).toEqual({ code: 0, out: 'base 1: what? (seen)\nbase 1: so?\n' });
  expect(err).toContain('error: none.png cannot be read');
  expect(err).toContain('/image needs the name of a file.');
  expect(err).toContain('There are none; --adapter brings one.');
  expect(err).toContain('No adapter is called x; there are: none.');
  expect(err).toContain('There is no /who; /help lists');
  for (const command of ['/adapter <name>', '/base', '/image <file>', '/reset', '/help', '/quit', 'Ctrl-C'])
    expect(err).toContain(command);
});

test('--json: an object for each answer', async () => {
  const { out } = await talk(['--json', '--adapter', 'a'], ['one', '/base', 'two']);
  expect(
    out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
  ).toEqual([
    { adapter: 'a', text: 'a 1: one', stoppedBy: 'stop' },
    { adapter: null, text: 'base 3: two', stoppedBy: 'stop' },
  ]);
});

test('options that are wrong, and no model, are refused before anything is opened', async () => {
  expect(await talk(['--temperature', 'hot'], [])).toMatchObject({ code: 1, out: '' });
  let err = '';
  const code = await runCli(['chat'], {
    engine: createStandInEngine().engine,
    version: '1',
    err: (text) => (err += text),
  });
  expect({ code, err }).toMatchObject({ code: 1, err: expect.stringContaining('--model must be given') as string });
});

test('a bug ends the conversation, and the model is given back', async () => {
  let closed = 0;
  const { engine } = createStandInEngine();
  const openChat: Engine['openChat'] = async (...args) => ({
    ...(await engine.openChat(...args)),
    answer: () => {
      throw new TypeError('a bug');
    },
    close: async () => void closed++,
  });
  expect(await talk([], ['one', 'two'], { engine: { ...engine, openChat } })).toMatchObject({ code: 70, out: '' });
  expect(closed).toBe(1);
});

let folder: string;
const fixtures = fileURLToPath(new URL('../../../../test/fixtures', import.meta.url));
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapidary-chat-'));
  for (const file of ['config.json', 'model.safetensors'])
    await copyFile(join(fixtures, 'models/gemma3-tiny', file), join(folder, file));
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    await copyFile(join(fixtures, 'tokenizer', file), join(folder, file));
});
afterAll(() => rm(folder, { recursive: true }));

/** Opens the fixture, whatever was named. */
const tinyEngine: Engine = {
  ...nodeEngine,
  openChat: ({ adapters }, options) => nodeEngine.openChat({ model: folder, adapters }, options),
};

test('a model answers turn by turn, as it does when it is asked so in code', async () => {
  const adapter = join(fixtures, 'evaluation/adapter');
  const args = ['--max-tokens', '6', '--json', '--adapter', `tuned=${adapter}`];
  const { code, out } = await talk(args, ['Is opal hard?', '/base', 'And agate?'], { engine: tinyEngine });
  expect(code).toBe(0);
  const [first, second] = out
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { text: string }).text);
  const model = await TextModel.open(loaderOf(folder), { adapters: { tuned: adapter } });
  const ask = async (adapterName: string | null, ...said: string[]) => {
    let text = '';
    const messages = said.map((content, i) => ({ role: i % 2 ? ('model' as const) : ('user' as const), content }));
    for await (const part of model.answer(messages, { maxNewTokens: 6, adapter: adapterName })) text += part;
    return text;
  };
  try {
    expect(first).toBe(await ask('tuned', 'Is opal hard?'));
    expect(second).toBe(await ask(null, 'Is opal hard?', first!, 'And agate?'));
    expect(second).not.toBe(await ask('tuned', 'Is opal hard?', first!, 'And agate?'));
  } finally {
    model.destroy();
  }
});

test('a conversation beyond the context is told of, and the next question is answered', async () => {
  const long = 'the lamp by the river '.repeat(60);
  const { code, out, err } = await talk(['--max-tokens', '2', '--json'], [long, 'Short?'], { engine: tinyEngine });
  expect(code).toBe(0);
  expect(err).toMatch(/error: .*128/);
  expect(out.trim().split('\n')).toHaveLength(1);
});

test('Ctrl-C ends an answer, what came of it stays said; where none is made it ends the conversation', async () => {
  const keys = terminal();
  let answers = 0;
  let typed = false;
  const going = talk(['--max-tokens', '100', '--json'], [], {
    engine: {
      ...tinyEngine,
      openChat: async (request, options) => {
        const chat = await tinyEngine.openChat(request, options);
        return {
          ...chat,
          async *answer(messages, how) {
            const answer = chat.answer(messages, how);
            for (let next = await answer.next(); ; next = await answer.next()) {
              if (next.done) return next.value;
              yield next.value;
              if (!typed) keys.write('\x03');
              typed = true;
            }
          },
        };
      },
    },
    stdin: keys,
    onOut: () => keys.write(++answers === 1 ? 'more\n' : '\x03'),
  });
  keys.write('Is opal hard?\n');
  const { code, out } = await going;
  expect(code).toBe(0);
  const [first, second] = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { text: string; stoppedBy: string });
  expect(first).toMatchObject({ stoppedBy: 'interrupted' });
  expect(first!.text).not.toBe('');
  expect(second!.stoppedBy).not.toBe('interrupted');
});

test('a signal ends it with 130, also where nobody types', async () => {
  const stop = new AbortController();
  const going = talk([], [], { stdin: terminal(), signal: stop.signal });
  setTimeout(() => stop.abort(), 50);
  expect((await going).code).toBe(130);
});
