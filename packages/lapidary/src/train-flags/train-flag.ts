/** One option of `finetune`, `plan`, `profile` and `tune`, and the field of TrainConfig that it sets. */
export interface TrainFlag {
  /** `--rank`. */
  readonly name: string;
  /** What tutorials call it: `--lr`. */
  readonly alias?: string;
  /** What stands behind it; none for switches. */
  readonly value?: string;
  readonly path: string;
  readonly kind: 'text' | 'number' | 'bytes' | 'names' | 'numbers' | 'pairs' | 'json' | 'switch';
  /** What a switch sets. Default true. */
  readonly sets?: string;
  readonly help: string;
  readonly group: string;
}

/** The flags of one part of the help. */
export const group = (title: string, flags: readonly Omit<TrainFlag, 'group'>[]): TrainFlag[] =>
  flags.map((flag) => ({ ...flag, group: `${title}:` }));
