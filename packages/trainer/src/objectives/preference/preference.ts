import type { Model, WeightFormat } from '@lapidary/gemma';
import { TensorLike } from '@lapidary/tensor';
import { choice, real, withDefault } from '../../config/rules.js';
import { EmptyDatasetError } from '../../data/errors.js';
import { ConfigError } from '../../errors/errors.js';
import { bindCompletion, shapeLimits, type CompletionTask } from '../completion/completion.js';
import { picturesOfBatch } from '../completion/pictures.js';
import type { CompletionExample } from '../completion/tokenise.js';
import type { TextualRow } from '../completion/rows.js';
import type { EncodeContext, Objective, RowSource, RunData, Task, TaskLimits } from '../objective.js';
import {
  makePreferenceBatch,
  preferenceShapes,
  type PreferenceExample,
  type PreferenceInputs,
  type PreferenceShape,
} from './batch.js';
import { preferenceLoss, type PreferenceSettings } from './loss.js';
import { parsePreferenceRow, rejectedRow, type PreferenceRow } from './rows.js';

/** The objective `dpo` for a model. */
export type PreferenceTask = Task<PreferenceShape, PreferenceInputs, PreferenceExample, PreferenceRow>;

/**
 * Learns which of two answers is preferred (Rafailov et al. 2023, arXiv:2305.18290): how much likelier the chosen one has become than the
 * rejected one, against the model without its adapter; a mean over pairs. A prompt counts for nothing.
 */
export const preference = {
  type: 'dpo',
  settings: {
    beta: withDefault(real({ above: 0 }), 0.1),
    lossType: withDefault(choice(['sigmoid', 'ipo', 'hinge']), 'sigmoid'),
    labelSmoothing: withDefault(real({ min: 0, below: 0.5 }), 0),
  },
  needsReference: true,
  parseRow: parsePreferenceRow,
  bind: bindPreference,
} as const satisfies Objective<PreferenceSettings, PreferenceRow>;

/** Preferences for a model, with the settings of a run. @throws ConfigError for label smoothing with a loss that has none */
export function bindPreference(
  model: Model,
  about: { readonly settings: PreferenceSettings; readonly limits: TaskLimits; readonly weightFormat: WeightFormat },
): PreferenceTask {
  const { settings, limits, weightFormat } = about;
  const { labelSmoothing, lossType } = settings;
  if (labelSmoothing > 0 && lossType !== 'sigmoid') {
    const found = `${labelSmoothing} with lossType '${lossType}'`;
    throw new ConfigError({
      problems: [{ path: 'objective.labelSmoothing', found, allowed: "0, or lossType 'sigmoid'" }],
    });
  }
  const completions = bindCompletion(model, { settings: { labelSmoothing: 0 }, limits, weightFormat });
  return {
    encode: (train, held, context) => encode(completions, { train, held, context }),
    assumed: () =>
      completions
        .assumed()
        .map((each) => paired({ ...each, row: { ...each.row, rejected: { completion: '' } } }, each)),
    shapes: (examples) => preferenceShapes(examples, shapeLimits(model, limits)),
    types: (shape) => ({
      ...completions.types(shape),
      places: new TensorLike('i32', [shape.batch, shape.places]),
      lengths: new TensorLike('f32', [shape.batch]),
      pairs: new TensorLike('f32', [shape.batch / 2]),
    }),
    collate: async (pairs, shapes) => makePreferenceBatch(pairs, shapes, await picturesOfBatch(model, pairs)),
    loss: (inputs, context) => preferenceLoss(inputs, context, settings),
    // The chosen answer is what is expected.
    planSamples: (pairs, context) => completions.planSamples(pairs, context),
  };
}

function paired(
  chosen: CompletionExample & Pick<PreferenceExample, 'row'>,
  { length, tokens, lossMask, prefix }: CompletionExample,
): PreferenceExample {
  return { ...chosen, length: Math.max(chosen.length, length), rejected: { length, tokens, lossMask, prefix } };
}

/** Both answers of each pair as completions. */
async function encode(
  completions: CompletionTask,
  parts: {
    readonly train: RowSource<PreferenceRow>;
    readonly held: RowSource<PreferenceRow>;
    readonly context: EncodeContext;
  },
): Promise<RunData<PreferenceExample>> {
  const { train, held, context } = parts;
  const rejectedOf = new Map<TextualRow, TextualRow>();
  const answersOf = (source: RowSource<PreferenceRow>): RowSource<TextualRow> => {
    if (source.options.lossOn === 'all') {
      const allowed = "'completion': a prompt is the same for both answers";
      throw new ConfigError({ problems: [{ path: 'data.lossOn', found: "'all' with objective 'dpo'", allowed }] });
    }
    const rows = source.rows.flatMap((row) => {
      const rejected = rejectedRow(row);
      rejectedOf.set(row, rejected);
      return [row, rejected];
    });
    return { ...source, rows };
  };
  const encoded = await completions.encode(answersOf(train), answersOf(held), context);
  const notices = [...encoded.notices];
  const pairsOf = ({ rows, file }: RowSource<PreferenceRow>, examples: readonly CompletionExample[]) => {
    const byRow = new Map(examples.map((example) => [example.row, example]));
    let [cut, same] = [0, 0];
    const pairs = rows.flatMap((row) => {
      const [chosen, rejected] = [byRow.get(row), byRow.get(rejectedOf.get(row)!)];
      const isWhole = chosen !== undefined && rejected !== undefined;
      const isSame = isWhole && String(chosen.tokens) === String(rejected.tokens);
      if (!isWhole) cut++;
      else if (isSame) same++;
      return isWhole && !isSame ? [paired({ ...chosen, row }, rejected)] : [];
    });
    const were = (count: number) => (count === 1 ? '1 pair was' : `${count} pairs were`);
    if (cut > 0) notices.push(`${file}: ${were(cut)} left out, since one of the answers was or both were.`);
    if (same > 0) notices.push(`${file}: ${were(same)} left out: both answers are the same.`);
    if (pairs.length === 0 && rows.length > 0)
      throw new EmptyDatasetError({
        file,
        message: `none of the ${rows.length} pairs has two different answers to learn from`,
      });
    return pairs;
  };
  return { train: pairsOf(train, encoded.train), held: pairsOf(held, encoded.held), notices };
}
