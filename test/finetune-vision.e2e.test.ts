// The example that fine-tunes a small PaliGemma on pictures, shortened: held-out answers become right, and what it writes is whole.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const example = fileURLToPath(new URL('../examples/finetune-vision', import.meta.url));

function node(args: readonly string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [
    '--import',
    import.meta.resolve('tsx'),
    '--conditions=lapidary-source',
    ...args,
  ]);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, output })));
}

it('learns to answer about pictures that it has not seen', { timeout: 600_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lapidary-vision-'));
  try {
    // A few questions, whose pictures are named by their whole path.
    const lines = (await readFile(join(example, 'data/eval.jsonl'), 'utf8')).trim().split('\n').slice(0, 45);
    const rows = lines.map((line) => JSON.parse(line) as { image: string });
    const held = rows.map((row) => JSON.stringify({ ...row, image: join(example, 'data', row.image) })).join('\n');
    await writeFile(join(folder, 'held.jsonl'), held);
    const out = join(folder, 'out');
    const short = ['--eval-data', join(folder, 'held.jsonl'), '--steps', '80', '--out', out];
    const { code, output } = await node([join(example, 'main.ts'), ...short]);
    expect(code, output).toBe(0);

    const { accuracy, predictions } = JSON.parse(await readFile(join(out, 'predictions.json'), 'utf8')) as {
      accuracy: { base: number; tuned: number };
      predictions: { expected: string; base: string; tuned: string }[];
    };
    expect(predictions).toHaveLength(45);
    const right = (key: 'base' | 'tuned') => predictions.filter((p) => p[key] === p.expected).length / 45;
    expect(accuracy).toEqual({ base: right('base'), tuned: right('tuned') });
    expect(accuracy.base).toBeLessThan(0.3);
    expect(accuracy.tuned).toBeGreaterThan(0.5);
    const page = await readFile(join(out, 'pictures.html'), 'utf8');
    expect(page).toContain('data:image/png;base64,');
    expect(page).toContain('<rect ');
    // Everything is in the page itself.
    expect(page.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|src="(?!data:)/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
