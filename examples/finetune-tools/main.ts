// Teaches a small model to call functions: by default a LoRA on the model in base/, from what is said to the call that it means (data/), into
// out/finetune-tools. Every option of `lapidary finetune` works here too: --model, --data, --out, --steps, …
import { fileURLToPath } from 'node:url';
import { abortOnSignals, runCli } from 'lapidary/cli';
import { engine } from 'lapidary/engine-node';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const given = process.argv.slice(2);
const has = (flag: string) => given.some((argument) => argument === flag || argument.startsWith(`${flag}=`));

const defaults: [flag: string, ...values: string[]][] = [
  ['--model', here('base')],
  ['--data', here('data/train.jsonl')],
  ['--out', 'out/finetune-tools'],
];
const isDefault = !has('--model') && !has('--data');
// What suits a model of a million parameters; large ones want gentler settings.
const small: typeof defaults = [
  ['--eval-data', here('data/held-out.jsonl')],
  ['--steps', '120'],
  ['--batch-size', '8'],
  ['--learning-rate', '0.006'],
  ['--rank', '16'],
  ['--alpha', '32'],
  ['--max-length', '160'],
  ['--eval-every', '40'],
  // All held-out rows are answered, before and after, and counted.
  ['--sample-count', '48'],
  ['--sample-tokens', '48'],
];
const args = [...defaults, ...(isDefault ? small : [])].filter(([flag]) => !has(flag)).flat();
if (!has('--out') && !has('--overwrite') && !has('--resume')) args.push('--overwrite');

process.exitCode = await runCli(['finetune', ...args, ...given], {
  engine,
  version: '0.0.0',
  signal: abortOnSignals(),
});
