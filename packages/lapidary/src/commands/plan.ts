import { modelPresets, type ModelPresetName } from '@lapidary/gemma';
import { formatBytes } from '@lapidary/trainer';
import type { CliContext } from '../cli-context.js';
import { inFlagNames } from '../describe-error.js';
import type { TrainingPlan } from '../engine.js';
import { readTrainConfig, type FlagValues } from '../read-train-config.js';
import { formatTable } from '../format-table.js';

/** What a run would take, without loading a weight. */
export async function plan(values: FlagValues, context: CliContext): Promise<void> {
  const model = String(values['model']);
  // A released model by name needs no data: rows are taken to be as long as may be.
  const isRelease = Object.hasOwn(modelPresets, model) && values['data'] === undefined;
  const config = await readTrainConfig(isRelease ? { ...values, data: model } : values, context);
  const { engine } = context;
  const planned = isRelease
    ? await engine.planRelease(model as ModelPresetName, config)
    : await engine.planTraining(config);
  const total = planned.memory.reduce((sum, { bytes }) => sum + bytes, 0);
  if (values['json'] === true) {
    context.out(`${JSON.stringify({ ...planned, totalBytes: total, fits: planned.fit?.fits ?? null })}\n`);
    return;
  }
  for (const notice of planned.notices) context.err(`Note: ${inFlagNames(notice)}\n`);
  const count = (value: number) => value.toLocaleString('en');
  context.out(
    `${formatTable([
      ['Parameters', count(planned.parameters)],
      ['Trained', count(planned.trainableParameters)],
      ...(planned.totalSteps === null ? [] : [['Steps', count(planned.totalSteps)]]),
      ['Tokens a step', count(planned.tokensPerStep)],
    ])}\n\n${formatTable([...planned.memory.map(({ category, bytes }) => [category, formatBytes(bytes)]), ['Together', formatBytes(total)]])}\n${describeHost(planned.onHost)}`,
  );
  const notices = planned.budgetNotices.map((notice) => `${inFlagNames(notice)}\n`).join('');
  context.out(`\n${notices}${describeFit(planned.fit)}`);
}

function describeHost(table: TrainingPlan['onHost']): string {
  return table === null
    ? ''
    : `\nNot on the device: ${table.path}, ${formatBytes(table.bytes)}, stays in its file, where the rows of each step are read.\n`;
}

function describeFit(fit: TrainingPlan['fit']): string {
  if (fit === null) return 'Whether it fits is not known: there is no adapter here.\n';
  const { fits, reason, advice } = fit;
  if (fits !== false) return `${fits ? 'Fits' : 'May fit'}: ${reason}.\n`;
  return `Does not fit: ${reason}.\n${advice.map((line) => `  - ${inFlagNames(line)}\n`).join('')}`;
}
