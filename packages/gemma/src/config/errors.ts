import { showValue } from './json.js';

/** A model this package has no architecture for. */
export class UnknownModelError extends Error {
  override readonly name = 'UnknownModelError';
  /** What the file calls itself (`model_type`, or `general.architecture` of a GGUF). */
  readonly modelType: string;
  readonly supported: readonly string[];
  constructor(modelType: string, supported: readonly string[], where = 'config.json') {
    super(
      `${where} says the model is ${JSON.stringify(modelType)}, which is not supported. Supported: ${supported.join(', ')}.`,
    );
    this.modelType = modelType;
    this.supported = supported;
  }
}

/** A model that turns texts into vectors, asked for an answer. */
export class EmbeddingModelError extends Error {
  override readonly name = 'EmbeddingModelError';
  constructor(model: string) {
    super(
      `${model} turns texts into vectors and answers nothing. Ask it for vectors (\`lapidary embed\`), or train it on pairs of texts (the objective \`contrastive\`); for answers take a Gemma that is a language model.`,
    );
  }
}

/** A field of a model's configuration that is missing, of the wrong kind, or asks for what is not implemented. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly field: string;
  readonly value: unknown;
  constructor(field: string, value: unknown, problem: string) {
    super(`Model configuration: ${field} is ${showValue(value)}, ${problem}.`);
    this.field = field;
    this.value = value;
  }
}

/** The arrays of an npz are not those of the model that is looked for. */
export class ArrayShapesError extends Error {
  override readonly name = 'ArrayShapesError';
  /** By its name in the file. */
  readonly array: string;
  /** Of the array that is there; undefined where it is missing. */
  readonly shape: readonly number[] | undefined;
  constructor(array: string, shape: readonly number[] | undefined, problem: string) {
    super(problem);
    this.array = array;
    this.shape = shape;
  }
}
