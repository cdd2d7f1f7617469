import type { EmbeddingHead, Model, WeightFormat } from '@lapidary/gemma';
import { TensorLike, type InputsOf, reshape } from '@lapidary/tensor';
import { listOf, orNull, real, text, withDefault } from '../../config/rules.js';
import { ConfigError } from '../../errors/errors.js';
import type { InspectedRow, JointLoss, Objective, RowSource, Task, TaskLimits } from '../objective.js';
import {
  contrastiveShapes,
  joinInputs,
  joinTypes,
  makeContrastiveBatch,
  type ContrastiveInputs,
  type ContrastiveShape,
  type JoinInputs,
} from './batch.js';
import { encodeRows, encodeTexts, promptsOf, type ContrastiveExample, type Prompts } from './encode.js';
import { contrastiveLoss } from './loss.js';
import { measureVectors } from './measure.js';
import { parseContrastiveRow, type ContrastiveRow } from './rows.js';

/** Settings of the objective `contrastive`. */
export interface ContrastiveSettings {
  /** Cosines are multiplied by this: 1 / temperature. */
  readonly scale: number;
  /** Sizes of vectors that are learned together, all of the model's among them; null: whole vectors alone. */
  readonly sizes: readonly number[] | null;
  /** What stands before anchors: the name of one of the model's prompts, or a text; null: the model's for queries. */
  readonly queryPrompt: string | null;
  /** What stands before the other texts; null: the model's for documents. */
  readonly documentPrompt: string | null;
}

/** The objective `contrastive` for a model. */
export type ContrastiveTask = Task<ContrastiveShape, ContrastiveInputs, ContrastiveExample, ContrastiveRow>;

const anyText = text(/^/, 'a text');

/**
 * Learns vectors of texts that belong together to lie closer than to those of all others in a step (`batchSize` · `gradientAccumulation` rows,
 * however few of them the device holds at once) and than to a row's own negatives.
 */
export const contrastive = {
  type: 'contrastive',
  settings: {
    scale: withDefault(real({ above: 0 }), 20),
    sizes: orNull(
      listOf<number>((size) => Number.isSafeInteger(size) && Number(size) > 0, 'a list of whole numbers above 0', {
        minLength: 1,
        items: { type: 'integer', minimum: 1 },
      }),
    ),
    queryPrompt: orNull(anyText),
    documentPrompt: orNull(anyText),
  },
  parseRow: parseContrastiveRow,
  bind: bindContrastive,
} as const satisfies Objective<ContrastiveSettings, ContrastiveRow>;

/** Contrastive learning for a model, with the settings of a run. @throws ConfigError for a model that makes no vectors, and sizes it has not */
export function bindContrastive(
  model: Model,
  {
    settings,
    limits,
  }: { readonly settings: ContrastiveSettings; readonly limits: TaskLimits; readonly weightFormat: WeightFormat },
): ContrastiveTask {
  const { embedding } = model;
  if (embedding === undefined) {
    const allowed = 'with a model that turns texts into vectors, such as EmbeddingGemma';
    throw new ConfigError({
      problems: [{ path: 'objective.type', found: `'contrastive' with ${model.title}`, allowed }],
    });
  }
  const prompts = promptsOf(embedding, settings);
  const joint = jointLoss(embedding, settings, limits);
  const { batchSize, maxLength } = limits;
  return {
    encode: async (train, held, { tokenizer }) => {
      const data = encodeRows({ train, held }, { tokenizer, prompts, maxLength });
      checkStep(data.train, limits);
      return data;
    },
    inspect: (source, tokenizer) => inspectRows(source, tokenizer, prompts),
    assumed: () => [assumedExample(limits)],
    shapes: (examples) => contrastiveShapes(examples, batchSize, maxLength),
    types: ({ batch, length }) => ({
      inputIds: new TensorLike('i32', [batch, length]),
      tokenInfo: new TensorLike('i32', [batch, length, 4]),
      tokenWeights: new TensorLike('f32', [batch, length]),
    }),
    collate: async (examples, shapes) => makeContrastiveBatch(examples, shapes),
    loss(inputs, context) {
      const { allowed, present, ...batch } = inputs as InputsOf<ContrastiveInputs & JoinInputs>;
      const vectors = joint.outputs(batch, context);
      return joint.loss(reshape(vectors, [1, ...vectors.shape]), { allowed, present });
    },
    joint,
    planSamples: () => null,
  };
}

/** @throws ConfigError for steps of one row without negatives, which has nothing to be told apart from */
function checkStep(examples: readonly ContrastiveExample[], { batchSize, gradientAccumulation = 1 }: TaskLimits): void {
  if (batchSize * gradientAccumulation > 1 || examples.some(({ texts }) => texts.length > 2)) return;
  const allowed =
    'more rows a step (`gradientAccumulation` counts too), or rows with negatives: one alone teaches nothing';
  throw new ConfigError({ problems: [{ path: 'batchSize', found: '1', allowed }] });
}

function jointLoss(
  { sizes: known, embed }: EmbeddingHead,
  { scale, sizes }: ContrastiveSettings,
  { batchSize: rows }: TaskLimits,
): JointLoss<ContrastiveShape, ContrastiveInputs> {
  const [width] = known;
  const unknown = sizes?.find((size) => !known.includes(size));
  if (unknown !== undefined)
    throw new ConfigError({
      problems: [
        { path: 'objective.sizes', found: String(unknown), allowed: `sizes of the model: ${known.join(', ')}` },
      ],
    });
  return {
    outputShape: ({ batch }) => [batch, width],
    outputs({ tokenWeights, ...inputs }, { model, params, options }) {
      return embed(params, model.forward(params, inputs, options).hidden, tokenWeights);
    },
    types: joinTypes,
    inputs: joinInputs,
    loss: (vectors, { allowed, present }) =>
      contrastiveLoss(vectors, { allowed: allowed!, present: present! }, { rows, scale, sizes: sizes ?? [width] }),
    measure: (outputs, batches, count) => measureVectors(outputs, batches, count, { scale, width }),
  };
}

/** The longest row that a run may meet, without negatives. */
function assumedExample({ maxLength }: TaskLimits): ContrastiveExample {
  const text = new Int32Array(maxLength);
  return {
    row: { line: 1, anchor: '', positive: '', negatives: [] },
    length: maxLength,
    patches: 0,
    texts: [text, text],
  };
}

/** The texts of each row one after the other: all of them count. */
function* inspectRows(
  { rows, file }: RowSource<ContrastiveRow>,
  tokenizer: Parameters<NonNullable<ContrastiveTask['inspect']>>[1],
  prompts: Prompts,
): Generator<InspectedRow> {
  for (const row of rows) {
    const texts = encodeTexts({ row, file }, { tokenizer, prompts });
    const tokens = texts.flat();
    const sequences = texts.map(({ length }) => length);
    const form = row.negatives.length > 0 ? 'anchor, positive, negatives' : 'anchor, positive';
    yield { row, form, tokens, sequences, learned: new Uint8Array(tokens.length).fill(1), patches: 0, pictures: [] };
  }
}
