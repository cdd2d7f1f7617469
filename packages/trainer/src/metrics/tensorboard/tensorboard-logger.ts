import { settingsOf } from '../../config/config-echo.js';
import type { FileStore } from '../../store/file-store.js';
import type { RunLogger } from '../logger.js';
import type { SampleRecord } from '../run-records.js';
import type { EventContent } from './event.js';
import type { EventFile } from './event-file.js';

/**
 * Writes `tensorboard/events.out.tfevents.…`, which TensorBoard reads: scalars `train/loss`, `train/learning_rate`, `train/grad_norm`,
 * `train/tokens_per_second`, `eval/loss` and what the objective measures beside; the config, and answers to held-out rows, as texts. A run
 * that goes on begins another file, by which TensorBoard drops the steps that are done again. `now` in milliseconds since 1970.
 */
export function createTensorBoardLogger(store: FileStore, { now = Date.now } = {}): RunLogger {
  let file: EventFile | undefined;
  const add = async (step: number, contents: readonly EventContent[]) => file?.add(step, contents);
  return {
    async onStart({ config, startStep }) {
      const { beginEventFile } = await import('./event-file.js');
      file = await beginEventFile(store, startStep === 0 ? 0 : startStep + 1, now);
      await add(startStep, [textOf('config', configTable(config))]);
    },
    onStep: ({ step, loss, learningRate, gradNorm, tokensPerSecond, metrics }) =>
      add(
        step,
        scalars('train', {
          loss,
          learning_rate: learningRate,
          grad_norm: gradNorm,
          tokens_per_second: tokensPerSecond,
          ...metrics,
        }),
      ),
    onEval: ({ step, loss, metrics }) => add(step, scalars('eval', { loss, ...metrics })),
    onSample: (sample) => add(sample.step, [textOf(`samples/${sample.id}`, describe(sample))]),
  };
}

/** What TensorBoard's tags may hold. */
const tagOf = (name: string): string => name.replace(/[^-/\p{L}\p{N}_.]/gu, '_');

const scalars = (part: string, values: Readonly<Record<string, number>>): EventContent[] =>
  Object.entries(values).map(([name, scalar]) => ({ tag: tagOf(`${part}/${name}`), scalar }));

/** Tags of texts end so with every writer. */
const textOf = (name: string, text: string): EventContent => ({ tag: `${tagOf(name)}/text_summary`, text });

/** In Markdown, as TensorBoard shows it. */
function configTable(config: Parameters<typeof settingsOf>[0]): string {
  const cell = (text: string) => text.replace(/\s+/g, ' ').replaceAll('|', '\\|');
  const rows = settingsOf(config).map(([path, value]) => `| ${cell(path)} | ${cell(value)} |`);
  return ['| setting | value |', '| --- | --- |', ...rows].join('\n');
}

function describe({ prompt, answer, expected }: SampleRecord): string {
  const parts = { Prompt: prompt, Answer: answer, ...(expected !== null && { 'In the data': expected }) };
  return Object.entries(parts)
    .map(([title, text]) => `**${title}**\n\n${verbatim(text)}`)
    .join('\n\n');
}

/** Text between fences that it cannot end: what looks like Markdown in it stays as it is. */
function verbatim(text: string): string {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map(({ length }) => length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}\n${text}\n${fence}`;
}
