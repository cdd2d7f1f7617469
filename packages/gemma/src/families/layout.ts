/** One parameter, or one a layer where the names hold `{i}`. */
export interface LayoutRule {
  /** In the model: `layers.{i}.inputNorm.weight`. */
  readonly path: string;
  /** In the file, after `prefixes` are taken off. */
  readonly name: string;
  /** Added to every value when loading, in float32; taken off again when exporting. */
  readonly offset?: number;
  /** The part of the stored array that is the parameter: an index for each of its first axes; `layer` is the `{i}` of the path. */
  readonly at?: readonly (number | 'layer')[];
  /** The order in which the axes that are left are those of the parameter. Default: as stored. Neighbouring axes may then merge. */
  readonly permute?: readonly number[];
}

/** How one kind of checkpoint names and stores a model's parameters. */
export interface Layout {
  readonly id: string;
  readonly rules: readonly LayoutRule[];
  /** Spellings of the same place, by era: applied once each, in this order. */
  readonly prefixes: readonly (readonly [from: string, to: string])[];
  /** Tensors of no use to the model, by name after prefixes: other towers, buffers. */
  readonly ignored: RegExp;
  /** The output projection, which Gemma shares with the embedding: must be the same values where it is stored. */
  readonly tiedCopy: string;
  /** A name of `rules` as today's writers spell it. */
  readonly exportName: (name: string) => string;
  /** What a module (a name of `rules` without `.weight`) is called in the Python class that opens such files; PEFT goes by it. */
  readonly moduleName: (name: string) => string;
}

/** A tensor's or module's name without what eras have put before it. */
export function withoutPrefixes({ prefixes }: Pick<Layout, 'prefixes'>, name: string): string {
  let bare = name;
  for (const [from, to] of prefixes) if (bare.startsWith(from)) bare = to + bare.slice(from.length);
  return bare;
}
