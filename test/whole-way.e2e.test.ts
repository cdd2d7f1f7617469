// The whole way as a user goes it, on the small model: rows in a table, `data`, `finetune` with packing and early stopping, stopped and
// resumed, `eval`, `chat`, `export` to GGUF, and llama.cpp with the same answers.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { getLlama, LlamaCompletion, LlamaLogLevel } from 'node-llama-cpp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCliProcess } from './support/run-cli-node.js';

interface Order {
  readonly prompt: string;
  readonly completion: string;
}

const example = fileURLToPath(new URL('../examples/finetune', import.meta.url));
const model = join(example, 'base');
const heldCount = 24;
let folder = '';
let orders: readonly Order[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lapidary-whole-way-'));
  const lines = (await readFile(join(example, 'data/orders.jsonl'), 'utf8')).trim().split('\n');
  orders = lines.map((line) => JSON.parse(line) as Order);
});
afterAll(() => rm(folder, { recursive: true }));

const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
const turns = ({ prompt, completion }: Order) => ({
  conversations: [
    { from: 'human', value: prompt },
    { from: 'gpt', value: completion.trim() },
  ],
});

/** How people have rows, and how they say what is what. */
const forms = {
  CSV: {
    file: 'orders.csv',
    flags: ['--prompt-key', 'question', '--completion-key', 'answer'],
    write: (rows: readonly Order[]) =>
      ['question,answer', ...rows.map((row) => `${quoted(row.prompt)},${quoted(row.completion)}`)].join('\r\n'),
  },
  Parquet: {
    file: 'orders.parquet',
    flags: [],
    write: (rows: readonly Order[]) =>
      new Uint8Array(
        parquetWriteBuffer({
          columnData: (['prompt', 'completion'] as const).map((name) => ({
            name,
            data: rows.map((row) => row[name]),
            type: 'STRING' as const,
          })),
        }),
      ),
  },
  ShareGPT: {
    file: 'orders.json',
    flags: [],
    write: (rows: readonly Order[]) => JSON.stringify(rows.map(turns)),
  },
} as const;

/** What a command prints with `--json`. */
async function json<T>(...args: readonly string[]): Promise<T> {
  const { code, stdout, output } = await runCliProcess([...args, '--json'], { cwd: folder });
  expect(code, output).toBe(0);
  return JSON.parse(stdout) as T;
}

describe.each(['CSV', 'Parquet', 'ShareGPT'] as const)('rows as %s', (name) => {
  const { file, flags, write } = forms[name];
  const [rows, held, run] = [file, `held-${file}`, `run-${name}`];
  const isChat = name === 'ShareGPT';

  it('are shown, learned, measured, talked about, and leave for llama.cpp', { timeout: 600_000 }, async () => {
    await writeFile(join(folder, rows), write(orders.slice(0, -heldCount)));
    await writeFile(join(folder, held), write(orders.slice(-heldCount)));

    const shown = await runCliProcess(['data', '--model', model, '--data', rows, ...flags], { cwd: folder });
    expect(shown.code, shown.output).toBe(0);
    expect(shown.stdout).toMatch(/To learn from +194 rows/);

    const settings =
      '--steps 120 --batch-size 4 --lr 0.01 --rank 16 --alpha 32 --max-length 192 --packing --early-stopping 3 --eval-every 10 --no-samples';
    const finetune = ['finetune', '--model', model, '--data', rows, ...flags, ...settings.split(' '), '--out', run];
    const stopped = await runCliProcess(finetune, {
      cwd: folder,
      onLine: (line, kill) => {
        if (line.startsWith('step 10/')) kill('SIGINT');
      },
    });
    expect(stopped.code, stopped.output).toBe(130);
    const summary = await json<{ baseEvalLoss: number; finalEvalLoss: number }>(...finetune, '--resume');
    expect(summary.finalEvalLoss).toBeLessThan(0.2 * summary.baseEvalLoss);

    interface Variant {
      readonly name: string;
      readonly perplexity: { readonly value: number };
      readonly exactMatch: { readonly right: number; readonly rows: number };
    }
    const measure = ['eval', '--model', model, '--adapter', `tuned=${run}`, '--data', held, ...flags];
    interface Answer {
      readonly prompt: string;
      readonly answers: readonly { readonly text: string }[];
    }
    const { variants, answers } = await json<{ variants: readonly Variant[]; answers: readonly Answer[] }>(...measure);
    const [base, tuned] = variants as readonly [Variant, Variant];
    console.log(`${name}: ${tuned.exactMatch.right} of ${tuned.exactMatch.rows} right`);
    expect([base.name, tuned.name]).toEqual(['base', 'tuned']);
    expect(tuned.perplexity.value).toBeLessThan(base.perplexity.value);
    expect(tuned.exactMatch.rows).toBe(heldCount);
    expect(tuned.exactMatch.right).toBeGreaterThan(base.exactMatch.right + heldCount / 2);

    // A line each: what is piped in has no line ends in a question.
    const questions = orders.slice(-heldCount, -heldCount + 3).map(({ prompt }) => prompt.replaceAll('\n', ' '));
    const talk = ['chat', '--model', model, '--adapter', run, '--max-tokens', '24'];
    const chat = await runCliProcess(talk, { cwd: folder, input: `${questions.join('\n')}\n` });
    expect(chat.code, chat.output).toBe(0);
    expect(chat.stdout.trim().split('\n')).toHaveLength(questions.length);

    const gguf = join(folder, `${name}.gguf`);
    await json('export', run, '--to', 'gguf', '--quant', 'f32', '--out', gguf);
    const prompts = orders.slice(-20).map(({ prompt }) => prompt);
    const theirs = await answersOfLlama(gguf, isChat ? prompts.map(inTurns) : prompts);
    const ours = answers.slice(-20).map((row) => row.answers[1]!.text);
    const generated = await json<{ text: string }>('generate', '--model', model, '--adapter', run, prompts[0]!);
    expect(generated.text).toBe(ours[0]);
    expect(theirs).toEqual(ours);
    expect(new Set(ours).size).toBeGreaterThan(10);
  });
});

/** A question in the turns of Gemma, `<bos>` aside. */
const inTurns = (prompt: string) => `<start_of_turn>user\n${prompt}<end_of_turn>\n<start_of_turn>model\n`;

/** The likeliest answers of llama.cpp. */
async function answersOfLlama(modelPath: string, prompts: readonly string[]): Promise<string[]> {
  const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, progressLogs: false });
  const loaded = await llama.loadModel({ modelPath });
  // Its threads wait for each other spinning: on a busy machine for minutes.
  const context = await loaded.createContext({ contextSize: 128, threads: 1 });
  const answers: string[] = [];
  try {
    const completion = new LlamaCompletion({ contextSequence: context.getSequence() });
    for (const prompt of prompts)
      answers.push(
        await completion.generateCompletion(loaded.tokenize(prompt, true), { temperature: 0, maxTokens: 64 }),
      );
    return answers;
  } finally {
    await llama.dispose();
  }
}
