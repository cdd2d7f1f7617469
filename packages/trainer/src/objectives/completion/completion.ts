import { sumTokenLosses, type Model, type WeightFormat } from '@lapidary/gemma';
import { TensorLike, type InputsOf } from '@lapidary/tensor';
import { real, withDefault } from '../../config/rules.js';
import { planAnswers } from '../answers.js';
import {
  documentsOf,
  type EncodeContext,
  type Loss,
  type LossContext,
  type Objective,
  type RowSource,
  type RunData,
  type SampleContext,
  type SamplePlan,
  type Task,
  type TaskLimits,
} from '../objective.js';
import { batchShapes, makeBatch, type CompletionBatch, type CompletionInputs, type CompletionShape } from './batch.js';
import { inspectRows } from './inspect.js';
import { describePacking, packExamples } from './packing.js';
import { countPictures, Pictures } from './pictures.js';
import { parseRow, type TextualRow } from './rows.js';
import {
  describeTokenised,
  expectedAnswer,
  promptTokens,
  tokeniseRows,
  type CompletionExample,
  type TokeniseCounts,
} from './tokenise.js';

/** Settings of the objective `completion`. */
export interface CompletionSettings {
  /** Share of a target's probability that is spread over the vocabulary, while training (Szegedy et al. 2015, arXiv:1512.00567). */
  readonly labelSmoothing: number;
}

/** The objective `completion` for a model. */
export type CompletionTask = Task<CompletionShape, CompletionInputs, CompletionExample, TextualRow>;

/** Learns the answers to prompts, the model's turns of conversations, or texts: cross-entropy of the next token, a mean over targets. */
export const completion = {
  type: 'completion',
  settings: { labelSmoothing: withDefault(real({ min: 0, below: 1 }), 0) },
  packs: true,
  lossIsCrossEntropy: true,
  parseRow,
  bind: bindCompletion,
} as const satisfies Objective<CompletionSettings, TextualRow>;

/** Cross-entropy of completions for a model, with the settings of a run. */
export function bindCompletion(
  model: Model,
  {
    settings,
    limits,
    weightFormat,
  }: {
    readonly settings: CompletionSettings;
    readonly limits: TaskLimits;
    readonly weightFormat: WeightFormat;
  },
): CompletionTask {
  const shapes = (examples: readonly CompletionExample[]) => batchShapes(examples, limits.batchSize, limits.maxLength);
  return {
    encode: (train, held, context) => encode(model, limits, weightFormat, { train, held, context }),
    inspect: (source, tokenizer) => inspectRows(source, tokenizer, model),
    assumed: () => assumedExamples(model, limits),
    shapes,
    types: (shape) => typesOf(model, shape),
    collate: collateExamples,
    loss: (inputs, context) => completionLoss(inputs, context, settings),
    planSamples: (examples, context) => planCompletionSamples(examples, context, limits),
  };
}

/** Types of a batch's inputs. @throws TypeError for pictures where the model sees none */
function typesOf({ vision }: Model, { batch, length, targets, patches = 0 }: CompletionShape): CompletionInputs {
  if (patches > 0 && vision === undefined)
    throw new TypeError('a batch has pictures, but the model has no vision tower');
  return {
    inputIds: new TensorLike('i32', [batch, length]),
    tokenInfo: new TensorLike('i32', [batch, patches + length, 4]),
    ...(patches > 0 && vision && { patches: new TensorLike('f32', [batch, patches, vision.patchValues]) }),
    rows: new TensorLike('i32', [targets]),
    targets: new TensorLike('i32', [targets]),
  };
}

/** Σ cross-entropy of the targets (nats), and while evaluating how many of them are the likeliest token. Only rows with a target meet the vocabulary. */
function completionLoss(
  { rows, targets, ...inputs }: InputsOf<CompletionInputs>,
  { model, params, options, training }: LossContext,
  { labelSmoothing }: CompletionSettings,
): Loss {
  const smoothing = training ? labelSmoothing : 0;
  const { loss, correct } = sumTokenLosses(
    model,
    params,
    inputs,
    { rows, targets, labelSmoothing: smoothing },
    options,
  );
  return training ? { loss } : { loss, metrics: { accuracy: correct } };
}

async function collateExamples(
  examples: readonly CompletionExample[],
  shapes: readonly CompletionShape[],
): Promise<CompletionBatch> {
  const pictures = await Promise.all(examples.flatMap(({ row, pictures: all }) => (all ? [all.patchesOf(row)] : [])));
  return makeBatch(examples, shapes, pictures);
}

async function encode(
  model: Model,
  limits: TaskLimits,
  format: WeightFormat,
  parts: {
    readonly train: RowSource<TextualRow>;
    readonly held: RowSource<TextualRow>;
    readonly context: EncodeContext;
  },
): Promise<RunData<CompletionExample>> {
  const { train, held, context } = parts;
  const count = countPictures([train, held], model);
  const countsOf = new Map<string, TokeniseCounts[]>();
  const examplesOf = ({ rows, file, options }: RowSource<TextualRow>): CompletionExample[] => {
    const { examples, counts } = tokeniseRows(rows, context.tokenizer, {
      ...options,
      maxLength: limits.maxLength,
      file,
      model,
    });
    countsOf.set(file, [...(countsOf.get(file) ?? []), counts]);
    const { vision, preparePicture } = model;
    if (count === 0 || vision === undefined || preparePicture === undefined) return examples;
    const how = { format, ...(limits.imagePreset !== null && { preset: limits.imagePreset }) };
    const pictures = new Pictures({
      prepare: (image) => preparePicture(image, how),
      file,
      read: context.readImage,
    });
    return examples.map((example) => ({ ...example, pictures, patches: count * vision.tokensPerImage }));
  };
  const examples = { train: examplesOf(train), held: held.rows.length > 0 ? examplesOf(held) : [] };
  const notices = [...countsOf].flatMap(([file, parts]) =>
    describeTokenised(parts, limits.maxLength).map((notice) => `${file}: ${notice}`),
  );
  if (!limits.packing) return { ...examples, notices };
  if (count > 0)
    return { ...examples, notices: [...notices, `${train.file}: rows with pictures are not packed (\`packing\`).`] };
  // Those held out stay apart: their losses are then the same numbers, to the last bit, as without packing.
  const packed = packExamples(examples.train, limits);
  const told = `${train.file}: ${describePacking(examples.train, packed, limits)}`;
  return { train: packed, held: examples.held, notices: [...notices, told] };
}

/** Rows as long as may be, all of it learned, with one picture each where the model sees pictures. */
function assumedExamples({ vision }: Model, { maxLength, batchSize }: TaskLimits): CompletionExample[] {
  const example: CompletionExample = {
    row: { text: '', line: 0 },
    length: maxLength,
    patches: vision?.tokensPerImage ?? 0,
    tokens: new Int32Array(maxLength),
    lossMask: new Uint8Array(maxLength).fill(1),
    prefix: 0,
    pictures: undefined,
  };
  return Array.from({ length: batchSize }, () => example);
}

/** Answers to the prompts of the first examples. */
function planCompletionSamples(
  examples: readonly CompletionExample[],
  context: SampleContext,
  { sampleCount, sampleTokens, maxLength }: TaskLimits,
): SamplePlan | null {
  const { tokenizer, model } = context;
  const prompts = documentsOf(examples)
    .slice(0, sampleCount)
    .map(({ row, tokens, patches, pictures }) => ({
      id: `line ${row.line}`,
      tokens: tokenizer ? promptTokens(row, tokenizer, model).slice(0, maxLength) : [...tokens],
      patchCount: patches,
      expected: expectedAnswer(row),
      patches: async () => pictures?.patchesOf(row),
      pictures: async () => pictures?.dataUrlsOf(row) ?? [],
    }));
  return prompts.length === 0 || sampleTokens === 0 ? null : planAnswers(prompts, sampleTokens, context);
}
