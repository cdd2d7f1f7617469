import { expect, it } from 'vitest';
import { runCli } from '../cli-node.js';
import type { EmbedRequest, Engine } from '../engine.js';
import { createStandInEngine } from '../testing/stand-in-engine.js';

async function run(args: readonly string[], input = '') {
  const requests: EmbedRequest[] = [];
  const { engine: stand } = createStandInEngine();
  const embed: Engine['embed'] = (request, options) => {
    requests.push(request);
    return stand.embed(request, options);
  };
  let [out, err] = ['', ''];
  const code = await runCli(['embed', ...args], {
    engine: { ...stand, embed },
    version: '1.2.3',
    readInput: async () => input,
    out: (text) => (out += text),
    err: (text) => (err += text),
  });
  return { code, out, err, requests };
}

it('takes texts as arguments, as lines, and from rows', async () => {
  const { code, out, err, requests } = await run(['--model', 'm', 'one', 'two', '--prompt', 'query', '--size', '256']);
  expect(code).toBe(0);
  expect(
    out
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { text: string }).text),
  ).toEqual(['one', 'two']);
  expect((JSON.parse(out.split('\n')[0]!) as { embedding: number[] }).embedding).toHaveLength(2);
  expect(err).toContain('1 text was cut to 2048 tokens');
  expect(requests).toEqual([{ model: 'm', adapter: null, texts: ['one', 'two'], prompt: 'query', size: 256 }]);
  expect((await run(['--model', 'm'], 'a\n\nb\r\n')).requests[0]!.texts).toEqual(['a', 'b']);
  expect((await run(['--model', 'm', '-'], 'a')).requests[0]!.texts).toEqual(['a']);
  const rows = await run(['--model', 'm', '--data', 'rows.csv', '--key', 'body', '--adapter', 'run']);
  expect(rows.requests).toEqual([{ model: 'm', adapter: 'run', texts: { data: 'rows.csv', key: 'body' } }]);
});

it.each([
  [['one'], /--model must be given/],
  [['--model', 'm'], /no texts/],
  [['--model', 'm', 'one', '--data', 'rows.csv'], /Texts are given and --data too/],
  [['--model', 'm', 'one', '--key', 'body'], /--key needs --data/],
  [['--model', 'm', 'one', '--size', '1.5'], /--size: found .*; allowed: a whole number, 1 or more/],
])('refuses %j', async (args, message) => {
  const { code, err, out } = await run(args);
  expect(code).toBe(1);
  expect(err).toMatch(message);
  expect(out).toBe('');
});
