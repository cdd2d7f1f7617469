// Fine-tunes a LoRA: by default the small model in base/ on the orders in data/, into out/finetune. Every option of
// `lapidary finetune` works here too: --model, --data, --out, --steps, …
import { fileURLToPath } from 'node:url';
import { abortOnSignals, runCli } from 'lapidary/cli';
import { engine } from 'lapidary/engine-node';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const given = process.argv.slice(2);
const has = (flag: string) => given.some((argument) => argument === flag || argument.startsWith(`${flag}=`));

const defaults: [flag: string, ...values: string[]][] = [
  ['--model', here('base')],
  ['--data', here('data/orders.jsonl')],
  ['--out', 'out/finetune'],
];
/** What stands after a flag, `--flag value` or `--flag=value`. */
const givenFor = (flag: string) =>
  given[given.indexOf(flag) + 1 || given.length] ??
  given.find((argument) => argument.startsWith(`${flag}=`))?.slice(flag.length + 1);

const isDefault = !has('--model') && !has('--data');
// What suits a model of a million parameters; large ones want gentler settings. Rates of different optimisers are not comparable.
const learningRates: Readonly<Record<string, string>> = { adamw: '0.01', lion: '0.003', sgd: '0.3', adafactor: '0.4' };
const small: typeof defaults = [
  ['--steps', '60'],
  ['--batch-size', '8'],
  ['--learning-rate', learningRates[givenFor('--optimizer') ?? 'adamw'] ?? '0.01'],
  ['--rank', '16'],
  ['--alpha', '32'],
  ['--max-length', '64'],
  ['--eval-every', '20'],
  // All held-out rows are answered, before and after, and counted.
  ['--sample-count', '24'],
  ['--sample-tokens', '16'],
];
const args = [...defaults, ...(isDefault ? small : [])].filter(([flag]) => !has(flag)).flat();
if (!has('--out') && !has('--overwrite') && !has('--resume')) args.push('--overwrite');

process.exitCode = await runCli(['finetune', ...args, ...given], {
  engine,
  version: '0.0.0',
  signal: abortOnSignals(),
});
