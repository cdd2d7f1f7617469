// Fine-tunes a LoRA on pictures: by default the small PaliGemma in base/ on the shapes in data/, into out/finetune-vision. Every option
// of `lapidary finetune` works here too. Then both models answer questions about pictures that none has seen.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openGpu } from '@lapidary/gpu';
import { paliGemmaWeightLoader } from '@lapidary/weights';
import { TextModel } from 'lapidary';
import { abortOnSignals, runCli } from 'lapidary/cli';
import { engine } from 'lapidary/engine-node';
import { answerAll, readQuestions, share } from './answers.js';
import { renderGallery } from './gallery.js';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const given = process.argv.slice(2);
const has = (flag: string) => given.some((argument) => argument === flag || argument.startsWith(`${flag}=`));

const defaults: [flag: string, ...values: string[]][] = [
  ['--model', here('base')],
  ['--data', here('data/train.jsonl')],
  ['--out', 'out/finetune-vision'],
];
const isDefault = !has('--model') && !has('--data');
// What suits a model of a million parameters; large ones want gentler settings.
const small: typeof defaults = [
  ['--eval-data', here('data/eval.jsonl')],
  ['--towers', 'language,vision,projector'],
  ['--steps', '280'],
  ['--batch-size', '24'],
  ['--learning-rate', '0.005'],
  ['--rank', '16'],
  ['--alpha', '32'],
  ['--max-length', '16'],
  ['--eval-every', '70'],
  ['--sample-count', '4'],
  ['--sample-tokens', '16'],
];
const args = [...defaults, ...(isDefault ? small : [])].filter(([flag]) => !has(flag)).flat();
if (!has('--out') && !has('--overwrite') && !has('--resume')) args.push('--overwrite');
args.push(...given);

const signal = abortOnSignals();
const code = await runCli(['finetune', ...args], { engine, version: '0.0.0', signal });
process.exitCode = code;
// With --full there is no adapter to compare with.
if (code === 0 && isDefault && !has('--help') && !has('-h') && !has('--full')) {
  try {
    await compare();
  } catch (error) {
    if (!signal.aborted) throw error;
    process.exitCode = 130;
  }
}

/** The last value of an option, as the command line takes it. */
function optionValue(flag: string): string {
  const at = args.findLastIndex((argument) => argument === flag || argument.startsWith(`${flag}=`));
  return args[at] === flag ? args[at + 1]! : args[at]!.slice(flag.length + 1);
}

/** Answers of the base model, and of the same with the adapter that was written. */
async function compare(): Promise<void> {
  const out = optionValue('--out');
  const questions = await readQuestions(optionValue('--eval-data'));
  const loader = paliGemmaWeightLoader({ from: optionValue('--model') });
  const gpu = await openGpu();
  try {
    const answersWith = async (adapter?: string) => {
      const model = await TextModel.open(loader, { gpu, signal, ...(adapter !== undefined && { adapter }) });
      try {
        return await answerAll(model, questions, signal);
      } finally {
        model.destroy();
      }
    };
    console.log(`\nAnswering ${questions.length} questions about held-out pictures …`);
    const [base, tuned] = [await answersWith(), await answersWith(out)];
    const accuracy = { base: share(questions, base), tuned: share(questions, tuned) };
    const predictions = questions.map(({ image, prompt, expected }, i) => {
      return { image, prompt, expected, base: base[i]!, tuned: tuned[i]! };
    });
    await writeFile(join(out, 'predictions.json'), `${JSON.stringify({ accuracy, predictions }, null, 2)}\n`);
    const pictures = new Map(questions.map(({ image, png }) => [image, png]));
    await writeFile(join(out, 'pictures.html'), renderGallery({ predictions, pictures, accuracy }));
    const summary = JSON.parse(await readFile(join(out, 'summary.json'), 'utf8')) as object;
    await writeFile(join(out, 'summary.json'), `${JSON.stringify({ ...summary, accuracy }, null, 2)}\n`);
    const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
    console.log(`Answers right to the letter: ${percent(accuracy.base)} → ${percent(accuracy.tuned)}`);
    console.log(`Wrote predictions.json and pictures.html to ${out}`);
  } finally {
    gpu.destroy();
  }
}
