import { modelPresets, type ModelPresetName } from '@lapidary/gemma';
import { copySpeed } from '@lapidary/tensor';
import { closest } from '@lapidary/trainer';
import type { CliContext } from '../cli-context.js';
import type { DeviceMeasure } from '../engine.js';
import { formatTable } from '../format-table.js';
import { UsageError } from '../usage-error.js';

export interface DoctorValues {
  readonly json?: boolean;
  /** False for `--no-speed`. */
  readonly speed?: boolean;
  readonly for?: readonly string[];
}

const words = { fine: 'ok', slow: 'note', broken: 'PROBLEM' } as const;

/** Models that are estimated where none is named: a small, a middling and a larger one. */
const usualModels: readonly ModelPresetName[] = ['gemma-3-270m', 'gemma-3-1b', 'gemma-3-4b'];

/** Says what this machine has, what to do where something is amiss, and what speed to expect. @throws UsageError where training cannot work */
export async function doctor(values: DoctorValues, context: CliContext): Promise<void> {
  const models = values.for === undefined ? usualModels : values.for.map(presetOf);
  const findings = await context.engine.diagnose(context.signal);
  const broken = findings.filter(({ state }) => state === 'broken');
  if (!values.json) {
    context.out(`${formatTable(findings.map(({ name, state, found }) => [words[state], name, found]))}\n`);
    for (const { name, advice } of findings) if (advice !== null) context.out(`\n${name}: ${advice}\n`);
  }
  let measured: DeviceMeasure | null = null;
  if (broken.length === 0 && values.speed !== false) {
    context.err('Measuring the device, for some seconds …\n');
    measured = await context.engine.measureDevice(models, context.signal);
    if (!values.json) context.out(`\n${describeSpeed(measured)}\n${describeEstimates(measured)}`);
  }
  if (values.json) context.out(`${JSON.stringify({ canTrain: broken.length === 0, findings, measured })}\n`);
  if (broken.length > 0)
    throw new UsageError({
      message: `Training cannot work here: ${broken.map(({ name }) => name).join(', ')}.`,
      hint: broken.map(({ advice }) => advice ?? '').join('\n'),
    });
}

function presetOf(name: string): ModelPresetName {
  if (Object.hasOwn(modelPresets, name)) return name as ModelPresetName;
  const near = closest(name, Object.keys(modelPresets));
  throw new UsageError({
    message: `--for ${name}: there is no released model of this name.`,
    hint: near === null ? `There are: ${Object.keys(modelPresets).join(', ')}.` : `Did you mean ${near}?`,
  });
}

/** A number with three digits that count. */
const digits = (value: number) => Number(value.toPrecision(3)).toLocaleString('en', { maximumFractionDigits: 3 });

function describeSpeed({ device, isSoftware, speed }: DeviceMeasure): string {
  const { ceiling, products, dispatchSeconds, runSeconds } = speed;
  const largest = ceiling.copies.at(-1)!;
  const rows = [
    ['f32 in registers', `${digits(ceiling.flopsPerSecond / 1e9)} GFLOP/s`],
    ['Copies', `${digits(largest.bytesPerSecond / 1e9)} GB/s, ${digits(copySpeed(ceiling) / 1e9)} in caches`],
    ...products.map(({ rows: count, dtype, precision, flopsPerSecond, bytesPerSecond }) => [
      `${dtype} weights × ${count === 1 ? '1 row' : `${count} rows`}${precision === 'float16' ? ', in f16' : ''}`,
      count === 1 ? `${digits(bytesPerSecond / 1e9)} GB/s` : `${digits(flopsPerSecond / 1e9)} GFLOP/s`,
    ]),
    ['A kernel by itself', `${digits(dispatchSeconds * 1e6)} µs, a run ${digits(runSeconds * 1e3)} ms`],
  ];
  const software = isSoftware ? ': that is software, and a GPU is many times as fast' : '';
  return `Speed, measured on ${device}${software}\n${formatTable(rows)}\n`;
}

function describeEstimates({ estimates, without }: DeviceMeasure): string {
  const rate = (tokensPerSecond: number) => `${digits(tokensPerSecond)} tokens/s`;
  const rows = estimates.map(({ model, training, answering }) => [
    model,
    rate(training.tokensPerSecond),
    `${digits(training.secondsPerStep)} s a step`,
    rate(answering.tokensPerSecond),
  ]);
  const [first] = estimates;
  const head = first && ['', `LoRA, 1 × ${first.training.tokens} tokens`, '', 'answering'];
  const table = head ? `${formatTable([head, ...rows], { numbersFrom: 1 })}\n` : '';
  const lacking = without.map(({ model, reason }) => `${model} cannot be planned here: ${reason}\n`).join('');
  return `Estimates, not measured: from the kernels of each model at these speeds, weights bf16.
Where nothing else runs expect from half of them to twice as much.
${table}${lacking}Whether they fit is told by lapidary plan --model <name>; where time goes in a run by lapidary profile.
`;
}
