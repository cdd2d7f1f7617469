import type { JsonValue } from '@lapidary/weights';
import * as v from 'valibot';
import { diffJson } from '../config/config-echo.js';
import { ResumeMismatchError, type ResumeChange } from '../errors/errors.js';
import type { Example } from '../objectives/objective.js';
import type { PreparedRun } from './prepare/prepare-run.js';
import { fingerprintAll, laneMark } from './fingerprint.js';

/** What is read here was parsed from JSON. */
const json = v.custom<JsonValue>(() => true);

/** What a run is begun with beside its settings: checkpoints carry it, and it may not change. Texts are fingerprints. */
export const identitySchema = v.object({
  /** The rows as they are learned from, in order. */
  data: v.string(),
  /** Those held out. */
  evalData: v.string(),
  /** Whether those two are made row by row; absent: of all rows at once, as earlier versions made them. */
  byRow: v.optional(v.literal(true)),
  /** What the tokenizer's files say, however they are spelled; null where it was handed over in code: then the rows alone tell. */
  tokenizer: v.nullable(v.string()),
  /** The model's configuration itself. */
  model: v.record(v.string(), json),
  /** Every byte of the weights. */
  weights: v.string(),
  /** What `weights` are of, for an adapter to say over what it was trained; of runs of earlier versions it is not known. */
  base: v.optional(
    v.object({ format: v.picklist(['safetensors', 'gguf', 'npz']), tensors: v.record(v.string(), v.string()) }),
  ),
  /** The adapter that the run goes on from; null where a LoRA began anew, or there is none. */
  adapter: v.optional(v.nullable(v.string()), null),
});

/** See `identitySchema`. */
export type Identity = Readonly<v.InferOutput<typeof identitySchema>>;

const fields = [
  'data',
  'evalData',
  'tokenizer',
  'model',
  'weights',
  'adapter',
] as const satisfies readonly (keyof Identity)[];

/** What a prepared run is of. The weights are known when they have been loaded. */
export function identityOf({
  data,
  open,
  start,
}: Pick<PreparedRun, 'data' | 'open' | 'start'>): Omit<Identity, 'weights'> {
  return {
    data: fingerprintRows(data.train),
    evalData: fingerprintRows(data.held),
    byRow: true,
    tokenizer: open.tokenizerFiles,
    adapter: start?.fingerprint ?? null,
    model: JSON.parse(JSON.stringify(open.weights.config)) as Identity['model'],
  };
}

/**
 * Compares what a run was begun with, as far as it is known, with what it is given now.
 * @returns notices of what could not be compared
 * @throws ResumeMismatchError naming what differs
 */
export function compareIdentity(
  saved: Identity | undefined,
  now: Partial<Identity>,
  location: string,
): readonly string[] {
  if (saved === undefined)
    return [
      'This run was begun by an earlier version, which kept nothing of its data, tokenizer, model and weights: whether they are the same is not known.',
    ];
  const changes: ResumeChange[] = [];
  const unknown: string[] = [];
  let isEarlier = false;
  for (const name of fields) {
    const [before, value] = [saved[name], now[name]];
    if (value === undefined) continue;
    const isOtherHash =
      name === 'weights' && String(before).startsWith(laneMark) !== String(value).startsWith(laneMark);
    const isOtherOrder = (name === 'data' || name === 'evalData') && saved.byRow !== now.byRow;
    if (isOtherHash || isOtherOrder) isEarlier = true;
    else if (name === 'tokenizer' && (before === null) !== (value === null)) unknown.push(name);
    else changes.push(...diffJson(before, value, name));
  }
  if (changes.length > 0) throw new ResumeMismatchError({ location, changes });
  return [
    ...unknown.map(
      (name) =>
        `Whether the ${name} is the one that this run began with is not known: one of the two came from no file.`,
    ),
    ...(isEarlier
      ? [
          'This run was begun by an earlier version, which told rows or weights apart in another way: whether they are the same is not known.',
        ]
      : []),
  ];
}

/** Packed or not: how rows are packed, settings tell. */
function fingerprintRows(examples: readonly Example[]): string {
  return fingerprintAll(fingerprintsOf(examples));
}

function* fingerprintsOf(examples: readonly Example[]): Generator<string> {
  for (const example of examples)
    for (const document of example.documents ?? [example])
      yield document.stored?.fingerprint ?? fingerprintExample(document);
}

/** What tells an example from others. */
export const fingerprintExample = (example: Example): string => fingerprintAll([withoutPlace(example)]);

/** Where a row stands in its file says nothing. */
function withoutPlace({ row, ...example }: Example): object {
  return { ...example, row: { ...row, line: 0, file: undefined } };
}
