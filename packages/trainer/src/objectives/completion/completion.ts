import { EmbeddingModelError, sumTokenLosses, type Model, type WeightFormat } from '@lapidary/gemma';
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
import { batchShapes, makeBatch, type CompletionBatch, type CompletionInputs, type CompletionShape } from './batch.js';
import { inspectRows } from './inspect.js';
import { describePacking, packExamples, packInto } from './packing.js';
import { countPictures, PictureCount, Pictures } from './pictures.js';
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
  const shapes = (examples: readonly AnyExample[]) => batchShapes(examples, limits.batchSize, limits.maxLength);
  return {
    encode: (train, held, context) => encode(model, limits, weightFormat, { train, held, context }),
    stream: (context) => streamRows(model, limits, weightFormat, context),
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
  examples: readonly AnyExample[],
  shapes: readonly CompletionShape[],
): Promise<CompletionBatch> {
  const loaded = await Promise.all(examples.map(loadExample));
  const pictures = await Promise.all(
    loaded.flatMap((example) =>
      'pictures' in example && example.pictures ? [example.pictures.patchesOf(example.row)] : [],
    ),
  );
  return makeBatch(loaded, shapes, pictures);
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
  const told = new Notices(limits.maxLength);
  const examplesOf = ({ rows, file, options }: RowSource<TextualRow>): CompletionExample[] => {
    const { examples, counts } = tokeniseRows(rows, context.tokenizer, {
      ...options,
      maxLength: limits.maxLength,
      file,
      model,
    });
    told.note(file, counts);
    const pictures = picturesOf(model, limits, format, { count, file, context });
    return pictures === undefined ? examples : examples.map((example) => ({ ...example, ...pictures }));
  };
  const examples = { train: examplesOf(train), held: held.rows.length > 0 ? examplesOf(held) : [] };
  const notices = told.all();
  if (!limits.packing) return { ...examples, notices };
  if (count > 0) return { ...examples, notices: [...notices, notPacked(train.file)] };
  // Those held out stay apart: their losses are then the same numbers, to the last bit, as without packing.
  const packed = packExamples(examples.train, limits);
  const packing = `${train.file}: ${describePacking(examples.train, packed, limits)}`;
  return { train: packed, held: examples.held, notices: [...notices, packing] };
}

const notPacked = (file: string) => `${file}: rows with pictures are not packed (\`packing\`).`;

/** What examples with pictures have beside their tokens; undefined where rows have none. */
function picturesOf(
  { vision, preparePicture }: Model,
  { imagePreset }: TaskLimits,
  format: WeightFormat,
  { count, file, context }: { readonly count: number; readonly file: string; readonly context: EncodeContext },
): Pick<CompletionExample, 'pictures' | 'patches'> | undefined {
  if (count === 0 || vision === undefined || preparePicture === undefined) return undefined;
  const how = { format, ...(imagePreset !== null && { preset: imagePreset }) };
  const pictures = new Pictures({ prepare: (image) => preparePicture(image, how), file, read: context.readImage });
  return { pictures, patches: count * vision.tokensPerImage };
}

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
  const counted = new PictureCount(model);
  const kept = new ExampleStore(context.store, context.fingerprint);
  const open = new Map<string, { tokenising: Tokenising; pictures: ReturnType<typeof picturesOf> }>();
  return {
    add(row, { file, options }) {
      counted.check(row, file);
      let source = open.get(file);
      if (source === undefined) {
        const tokenising = new Tokenising(context.tokenizer, { ...options, maxLength, file, model });
        const pictures = picturesOf(model, limits, format, { count: counted.count, file, context });
        open.set(file, (source = { tokenising, pictures }));
      }
      const example = source.tokenising.add(row);
      return example && kept.add({ ...example, ...source.pictures });
    },
    async finish(train: StreamedPart<StoredExample>, held: StreamedPart<StoredExample>) {
      for (const { examples, rows, file } of [train, held])
        if (rows > 0) checkNotEmpty(examples, rows, file, maxLength);
      const told = new Notices(maxLength);
      for (const [file, { tokenising }] of open) told.note(file, tokenising.counts);
      const notices = told.all();
      let examples: readonly AnyExample[] = train.examples;
      if (limits.packing && counted.count > 0) notices.push(notPacked(train.file));
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
  examples: readonly AnyExample[],
  context: SampleContext,
  { sampleCount, sampleTokens, maxLength }: TaskLimits,
): SamplePlan | null {
  const { tokenizer, model } = context;
  const prompts = firstRows(examples, sampleCount).map(({ row, tokens, patches, pictures }) => ({
    id: `line ${row.line}`,
    tokens: tokenizer ? promptTokens(row, tokenizer, model).slice(0, maxLength) : [...tokens],
    patchCount: patches,
    expected: tokenizer ? expectedAnswer(row, tokenizer, model) : null,
    patches: async () => pictures?.patchesOf(row),
    pictures: async () => pictures?.dataUrlsOf(row) ?? [],
  }));
  return prompts.length === 0 || sampleTokens === 0 ? null : planAnswers(prompts, sampleTokens, context);
}
