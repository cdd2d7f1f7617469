import { existsSync } from 'node:fs';
import { parseJson } from '@lapidary/gemma';
import { formatSeconds, hubDatasetOf, readRunFile, readText } from '@lapidary/trainer';
import { createNodeFileStore } from '@lapidary/trainer/node';
import { readRun, type RecordedRun } from '@lapidary/trainer/report';
import { hubIdOf, type JsonValue } from '@lapidary/weights';
import type { ExportedFiles } from '../engine.js';
import type { CardFacts, CardKind, Fact, TrainingFacts } from './model-card.js';

/** What the files, and the run that they are of, tell for a card. @throws RunFileError, RunRecordsError */
export async function cardFacts(exported: ExportedFiles, kind: CardKind, title: string): Promise<CardFacts> {
  const { folder, run, step } = exported;
  const store = run === null ? null : createNodeFileStore(run);
  const file = store && (await readRunFile(store));
  const adapter =
    kind === 'adapter' ? parseJson(await readText(createNodeFileStore(folder), 'adapter_config.json')) : null;
  const names = [
    // A relative path may look like a hub id.
    exported.base !== null && existsSync(exported.base) ? null : exported.base,
    at(adapter, 'base_model_name_or_path'),
    file?.baseModel,
    at(file?.config, 'weightLoader'),
    at(file?.config, 'weightLoader.model'),
  ];
  const base = names.flatMap((name) => (typeof name === 'string' ? (hubIdOf(name) ?? []) : []))[0] ?? null;
  return { title, kind, base, training: store && file ? trainingFacts(await readRun(store), step) : null };
}

/** Settings of a run by their path, and what a card calls them. */
const shown = {
  'objective.type': 'objective',
  'optimizer.type': 'optimiser',
  'optimizer.learningRate': 'learning rate',
  'schedule.type': 'schedule',
  batchSize: 'rows at once',
  gradientAccumulation: 'gradient accumulation',
  maxLength: 'longest row, in tokens',
  'lora.rank': 'LoRA rank',
  'lora.alpha': 'LoRA alpha',
  'lora.targets': 'LoRA on',
  'lora.dora': 'DoRA',
  seed: 'seed',
} as const;

function trainingFacts(
  { config, start, summary, steps, evals }: RecordedRun,
  exportedStep: number | null,
): TrainingFacts {
  const step = exportedStep ?? summary?.exportedStep ?? summary?.steps ?? null;
  const record = steps.find((each) => each.step === step);
  const evalAt = (wanted: number | null) => evals.find((each) => each.step === wanted)?.loss;
  const isWhole = summary !== null && step === summary.steps;
  return {
    datasets: ['data.source', 'evalData.source']
      .flatMap((path) => {
        const source = at(config, path);
        return typeof source === 'string' ? (hubDatasetOf(source) ?? []) : [];
      })
      .filter((id, i, all) => all.indexOf(id) === i),
    counts: facts({
      'rows trained on': start?.trainRows,
      'rows held out': start?.evalRows,
      steps: step ?? undefined,
      'passes over the rows': record?.epoch,
      tokens: isWhole ? summary.tokens : undefined,
      'trained parameters': start?.load?.trainableParameters,
      time: isWhole ? formatSeconds(summary.seconds) : undefined,
    }),
    settings: facts(Object.fromEntries(Object.entries(shown).map(([path, name]) => [name, textOf(at(config, path))]))),
    losses: facts({
      'training, last step': record?.loss,
      'held-out rows, base model': evalAt(0),
      'held-out rows, trained': evalAt(step),
    }),
  };
}

function facts(values: Readonly<Record<string, Fact[1] | undefined>>): Fact[] {
  return Object.entries(values).flatMap(([name, value]): Fact[] => (value === undefined ? [] : [[name, value]]));
}

/** A setting in words; undefined where there is none. */
function textOf(value: JsonValue | undefined): Fact[1] | undefined {
  if (Array.isArray(value)) return value.map(String).join(', ');
  if (typeof value === 'boolean') return value ? 'yes' : undefined;
  return typeof value === 'string' || typeof value === 'number' ? value : undefined;
}

/** A field by its path. */
function at(value: unknown, path: string): JsonValue | undefined {
  let found = value;
  for (const name of path.split('.')) {
    if (typeof found !== 'object' || found === null) return undefined;
    found = Object.hasOwn(found, name) ? (found as Readonly<Record<string, unknown>>)[name] : undefined;
  }
  return found as JsonValue | undefined;
}
