/** What a model, by itself and with adapters, makes of rows. Plain data. */
export interface Evaluation {
  /** The model, as its loader describes it. */
  readonly model: string;
  /** The file that the rows are in. */
  readonly data: string;
  /** The model by itself first, then with each adapter. */
  readonly variants: readonly EvaluatedVariant[];
  /** Answers to prompts and conversations, in the order of the rows. */
  readonly answers: readonly EvaluatedAnswer[];
  /** Choices, in the order of the rows. */
  readonly choices: readonly EvaluatedChoice[];
  /** What became of rows, in sentences. */
  readonly notices: readonly string[];
}

/** Measures of one variant; null where there are no rows of the kind. */
export interface EvaluatedVariant {
  /** `base`, or the adapter's name. */
  readonly name: string;
  /** Of the tokens that rows teach: completions with their ends, the model's turns, texts. Rows of choices are none of them. */
  readonly perplexity: {
    /** e to the power of `loss`. */
    readonly value: number;
    /** Mean cross-entropy of a token, nats. */
    readonly loss: number;
    readonly tokens: number;
    readonly rows: number;
  } | null;
  /** Rows {prompt, completion}, and conversations' last turns, whose likeliest answer is that of the row, blanks around both left out of account. */
  readonly exactMatch: Share | null;
  /** Rows whose answer is a call, and whose likeliest answer calls the same functions with the same arguments, whatever the order of their keys. */
  readonly callMatch: Share | null;
  /** Rows {prompt, choices, answer} whose right choice is the most probable one. */
  readonly choiceAccuracy: Share | null;
  /** The same, where log-probabilities are divided by the choices' lengths in bytes of UTF-8. */
  readonly choiceAccuracyByLength: Share | null;
  readonly seconds: number;
}

export interface Share {
  readonly right: number;
  readonly rows: number;
}

export interface EvaluatedAnswer {
  /** Of the row. */
  readonly line: number;
  readonly prompt: string;
  readonly expected: string;
  /** Of each variant. */
  readonly answers: readonly {
    readonly text: string;
    /** To the letter. */
    readonly matches: boolean;
    /** Where calls are expected: whether these are the same. */
    readonly sameCalls?: boolean;
  }[];
}

export interface EvaluatedChoice {
  readonly line: number;
  readonly prompt: string;
  readonly choices: readonly string[];
  /** Index of the right one. */
  readonly answer: number;
  /** Of each variant: log-probabilities of the choices in nats, and the index of the most probable. */
  readonly scores: readonly { readonly logProbabilities: readonly number[]; readonly chosen: number }[];
}
