import { EmbeddingModelError, pictureTypes, sumTokenLosses, type Model, type WeightFormat } from '@lapidary/gemma';
import { TensorLike, type InputsOf } from '@lapidary/tensor';
import { real, withDefault } from '../../config/rules.js';
import { planAnswers } from '../answers.js';
import type {
  EncodeContext,
  Loss,
  LossContext,
  Objective,
  RowSource,
  RowStream,
  RunData,
  SampleContext,
  SamplePlan,
  StreamContext,
  StreamedPart,
  Task,
  TaskLimits,
} from '../objective.js';
import {
  batchShapes,
  makeBatch,
  type CompletionBatch,
  type CompletionInputs,
  type CompletionShape,
  type ShapeLimits,
} from './batch.js';
import { inspectRows } from './inspect.js';
import { describePacking, packExamples, packInto } from './packing.js';
import { Pictures, picturesOfBatch } from './pictures.js';
import { parseRow, type TextualRow } from './rows.js';
import {
  ExampleStore,
  loadExample,
  loadOne,
  sequenceOf,
  type AnyExample,
  type StoredExample,
} from './stored-examples.js';
import {
  checkNotEmpty,
  cutText,
  describeTokenised,
  expectedAnswer,
  promptTokens,
  tokeniseRows,
  Tokenising,
  type CompletionExample,
  type TokeniseCounts,
} from './tokenise.js';

/** Settings of the objective `completion`. */
export interface CompletionSettings {
  /** Share of a target's probability that is spread over the vocabulary, while training (Szegedy et al. 2015, arXiv:1512.00567). */
  readonly labelSmoothing: number;
}

/** The objective `completion` for a model. */
export interface CompletionTask extends Task<CompletionShape, CompletionInputs, AnyExample, TextualRow> {
  encode(
    train: RowSource<TextualRow>,
    held: RowSource<TextualRow>,
    context: EncodeContext,
  ): Promise<RunData<CompletionExample>>;
  assumed(): readonly CompletionExample[];
}

/** Learns the answers to prompts, the model's turns of conversations, or texts: cross-entropy of the next token, a mean over targets. */
export const completion = {
  type: 'completion',
  settings: { labelSmoothing: withDefault(real({ min: 0, below: 1 }), 0) },
  packs: true,
  lossIsCrossEntropy: true,
  parseRow,
  bind: bindCompletion,
} as const satisfies Objective<CompletionSettings, TextualRow>;

/** Cross-entropy of completions for a model, with the settings of a run. @throws EmbeddingModelError for a model that answers nothing */
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
  if (model.embedding !== undefined) throw new EmbeddingModelError(model.name);
  const shapes = (examples: readonly AnyExample[]) => batchShapes(examples, shapeLimits(model, limits));
  return {
    encode: (train, held, context) => encode(model, limits, weightFormat, { train, held, context }),
    stream: (context) => streamRows(model, limits, weightFormat, context),
    inspect: (source, tokenizer) => inspectRows(source, tokenizer, model),
    assumed: () => assumedExamples(model, limits),
    shapes,
    types: (shape) => typesOf(model, shape),
    collate: (examples, batches) => collateExamples(model, examples, batches),
    loss: (inputs, context) => completionLoss(inputs, context, settings),
    planSamples: (examples, context) => planCompletionSamples(examples, context, limits),
  };
}

/** What bounds the batches of a run. */
export const shapeLimits = ({ vision }: Model, { batchSize, maxLength }: TaskLimits): ShapeLimits => ({
  rows: batchSize,
  maxLength,
  tokensPerImage: vision?.tokensPerImage ?? 1,
});

/** Types of a batch's inputs. @throws TypeError for pictures where the model sees none */
function typesOf(model: Model, { batch, length, targets, pictures = 0 }: CompletionShape): CompletionInputs {
  return {
    inputIds: new TensorLike('i32', [batch, length]),
    tokenInfo: new TensorLike('i32', [batch, length, 4]),
    ...pictureTypes(model, pictures, [batch, length]),
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
  model: Model,
  examples: readonly AnyExample[],
  shapes: readonly CompletionShape[],
): Promise<CompletionBatch> {
  const loaded = await Promise.all(examples.map(loadExample));
  return makeBatch(loaded, shapes, await picturesOfBatch(model, loaded));
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
  const told = new Notices(limits.maxLength);
  const examplesOf = ({ rows, file, options }: RowSource<TextualRow>): CompletionExample[] => {
    const { examples, counts } = tokeniseRows(rows, context.tokenizer, {
      ...options,
      maxLength: limits.maxLength,
      file,
      model,
    });
    told.note(file, counts);
    const pictures = picturesOf(model, limits, format, { file, context });
    return examples.map((example) => withPictures(example, pictures));
  };
  const examples = { train: examplesOf(train), held: held.rows.length > 0 ? examplesOf(held) : [] };
  const notices = told.all();
  if (!limits.packing) return { ...examples, notices };
  if (Object.values(examples).some((part) => part.some(({ patches }) => patches > 0)))
    return { ...examples, notices: [...notices, notPacked(train.file)] };
  // Those held out stay apart: their losses are then the same numbers, to the last bit, as without packing.
  const packed = packExamples(examples.train, limits);
  const packing = `${train.file}: ${describePacking(examples.train, packed, limits)}`;
  return { train: packed, held: examples.held, notices: [...notices, packing] };
}

const notPacked = (file: string) => `${file}: rows with pictures are not packed (\`packing\`).`;

/** The pictures of a source's rows; undefined for a model that sees none. */
function picturesOf(
  { preparePicture }: Model,
  { imagePreset }: TaskLimits,
  format: WeightFormat,
  { file, context }: { readonly file: string; readonly context: EncodeContext },
): Pictures | undefined {
  if (preparePicture === undefined) return undefined;
  const how = { format, ...(imagePreset !== null && { preset: imagePreset }) };
  return new Pictures({ prepare: (image) => preparePicture(image, how), file, read: context.readImage });
}

const withPictures = (example: CompletionExample, pictures: Pictures | undefined): CompletionExample =>
  example.patches > 0 ? { ...example, pictures } : example;

/** What became of the rows of each file, in sentences. */
class Notices {
  readonly #countsOf = new Map<string, TokeniseCounts[]>();
  readonly #maxLength: number;

  constructor(maxLength: number) {
    this.#maxLength = maxLength;
  }

  note(file: string, counts: TokeniseCounts): void {
    this.#countsOf.set(file, [...(this.#countsOf.get(file) ?? []), counts]);
  }

  all(): string[] {
    return [...this.#countsOf].flatMap(([file, parts]) =>
      describeTokenised(parts, this.#maxLength).map((notice) => `${file}: ${notice}`),
    );
  }
}

/** As `encode`, row by row; examples lie in the store. */
function streamRows(
  model: Model,
  limits: TaskLimits,
  format: WeightFormat,
  context: StreamContext,
): RowStream<TextualRow, AnyExample> {
  const { maxLength } = limits;
  let hasPictures = false;
  const kept = new ExampleStore(context.store, context.fingerprint);
  const open = new Map<string, { tokenising: Tokenising; pictures: ReturnType<typeof picturesOf> }>();
  return {
    add(row, { file, options }) {
      let source = open.get(file);
      if (source === undefined) {
        const tokenising = new Tokenising(context.tokenizer, { ...options, maxLength, file, model });
        const pictures = picturesOf(model, limits, format, { file, context });
        open.set(file, (source = { tokenising, pictures }));
      }
      const example = source.tokenising.add(row);
      if (example === undefined) return undefined;
      hasPictures ||= example.patches > 0;
      return kept.add(withPictures(example, source.pictures));
    },
    async finish(train: StreamedPart<StoredExample>, held: StreamedPart<StoredExample>) {
      for (const { examples, rows, file } of [train, held])
        if (rows > 0) checkNotEmpty(examples, rows, file, maxLength);
      const told = new Notices(maxLength);
      for (const [file, { tokenising }] of open) told.note(file, tokenising.counts);
      const notices = told.all();
      let examples: readonly AnyExample[] = train.examples;
      if (limits.packing && hasPictures) notices.push(notPacked(train.file));
      else if (limits.packing) {
        examples = packInto(sequenceOf, train.examples, limits);
        notices.push(`${train.file}: ${describePacking(train.examples, examples, limits)}`);
      }
      // Samples are planned before anything is read.
      const isHeld = held.examples.length > 0;
      const ready = await loadFirst(isHeld ? held.examples : examples, limits.sampleCount);
      return isHeld ? { train: examples, held: ready, notices } : { train: ready, held: [], notices };
    },
  };
}

/** Examples of which the first rows are in memory. */
async function loadFirst(examples: readonly AnyExample[], rows: number): Promise<AnyExample[]> {
  const all = [...examples];
  for (let i = 0, left = rows; i < all.length && left > 0; i++) {
    const example = all[i]!;
    if ('load' in example || 'tokens' in example) {
      all[i] = await loadOne(example);
      left--;
      continue;
    }
    const first = await Promise.all(example.documents.slice(0, left).map(loadOne));
    all[i] = { ...example, documents: [...first, ...example.documents.slice(left)] };
    left -= first.length;
  }
  return all;
}

function rowsOf(example: AnyExample): readonly (CompletionExample | StoredExample)[] {
  if ('load' in example) return [example];
  return 'tokens' in example ? (example.documents ?? [example]) : example.documents;
}

/** The first rows of examples: of stored ones those that are in memory. */
function firstRows(examples: readonly AnyExample[], count: number): CompletionExample[] {
  const found: CompletionExample[] = [];
  for (const example of examples) {
    for (const document of rowsOf(example)) if ('tokens' in document) found.push(document);
    if (found.length >= count) break;
  }
  return found.slice(0, count);
}

/** Rows as long as may be, all of it learned, after one picture each where the model sees pictures. */
function assumedExamples({ vision }: Model, { maxLength, batchSize }: TaskLimits): CompletionExample[] {
  const patches = vision?.tokensPerImage ?? 0;
  const length = patches + maxLength;
  const example: CompletionExample = {
    row: { text: '', line: 0 },
    length,
    patches,
    tokens: new Int32Array(length).fill(vision?.imageToken ?? 0, 0, patches),
    lossMask: new Uint8Array(length).fill(1, patches),
    prefix: 0,
    pictures: undefined,
  };
  return Array.from({ length: batchSize }, () => example);
}

/** Answers to the prompts of the first examples. */
function planCompletionSamples(
  examples: readonly AnyExample[],
  context: SampleContext,
  { sampleCount, sampleTokens, maxLength }: TaskLimits,
): SamplePlan | null {
  const { tokenizer, model } = context;
  const prompts = firstRows(examples, sampleCount).map(({ row, tokens, patches, pictures }) => ({
    id: `line ${row.line}`,
    tokens: tokenizer ? cutText(promptTokens(row, tokenizer, model), maxLength, model) : [...tokens],
    pictureCount: patches / (model.vision?.tokensPerImage ?? 1),
    expected: tokenizer ? expectedAnswer(row, tokenizer, model) : null,
    patches: async () => pictures?.patchesOf(row),
    pictures: async () => pictures?.dataUrlsOf(row) ?? [],
  }));
  return prompts.length === 0 || sampleTokens === 0 ? null : planAnswers(prompts, sampleTokens, context);
}
