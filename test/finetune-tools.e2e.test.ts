// The example of function calls, as a newcomer runs it: what is said in other words, of other things, becomes the right call.
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { SampleRecord } from '@lapidary/trainer';
import { expect, it } from 'vitest';

const example = fileURLToPath(new URL('../examples/finetune-tools/main.ts', import.meta.url));

function runExample(out: string): Promise<{ code: number | null; output: string }> {
  const imports = ['--import', import.meta.resolve('tsx'), '--conditions=lapidary-source'];
  const child = spawn(process.execPath, [...imports, example, '--out', out, '--overwrite']);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, output })));
}

it('learns calls of functions, said in words and of things that it has not seen', { timeout: 600_000 }, async () => {
  const out = await mkdtemp(join(tmpdir(), 'lapidary-tools-'));
  try {
    const { code, output } = await runExample(out);
    expect(code, output).toBe(0);
    const samples = (await readFile(join(out, 'samples.jsonl'), 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as SampleRecord);
    const rightAt = (step: number) => {
      const answers = samples.filter((sample) => sample.step === step);
      expect(answers).toHaveLength(48);
      return answers.filter(({ answer, expected }) => answer === expected).length;
    };
    const [before, after] = [rightAt(0), rightAt(120)];
    expect(before).toBeLessThanOrEqual(4);
    expect(after).toBeGreaterThanOrEqual(44);
    expect(output).toContain(`Held-out answers right to the letter: ${before} of 48 → ${after} of 48`);
  } finally {
    await rm(out, { recursive: true, force: true });
  }
});
