// The first example, as a newcomer runs it: it ends with held-out answers right to the letter, and says how many.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SampleRecord } from '@lapidary/trainer';
import { expect, it } from 'vitest';

const example = fileURLToPath(new URL('../examples/finetune/main.ts', import.meta.url));

function runExample(out: string): Promise<{ code: number | null; output: string }> {
  const imports = ['--import', import.meta.resolve('tsx'), '--conditions=lapidary-source'];
  const child = spawn(process.execPath, [...imports, example, '--out', out, '--overwrite']);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, output })));
}

it('learns to answer orders that it has not seen', { timeout: 600_000 }, async () => {
  const out = await mkdtemp(join(tmpdir(), 'lapidary-orders-'));
  try {
    const { code, output } = await runExample(out);
    expect(code, output).toBe(0);
    const samples = (await readFile(join(out, 'samples.jsonl'), 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as SampleRecord);
    const rightAt = (step: number) => {
      const answers = samples.filter((sample) => sample.step === step);
      expect(answers).toHaveLength(24);
      return answers.filter(({ answer, expected }) => answer === expected).length;
    };
    const [before, after] = [rightAt(0), rightAt(60)];
    expect(before).toBeLessThanOrEqual(1);
    expect(after).toBeGreaterThanOrEqual(23);
    expect(output).toContain(`Held-out answers right to the letter: ${before} of 24 → ${after} of 24`);
  } finally {
    await rm(out, { recursive: true, force: true });
  }
});
