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
  /** Who reads such files leaves a low-rank update of it out of account. Default false. */
  readonly takesNoAdapter?: boolean;
  /** The order in which the axes that are left are those of the parameter. Default: as stored. Neighbouring axes may then merge. */
  readonly permute?: readonly number[];
}

/** A config.json, as it is in the file. */
export type HfConfig = Readonly<Record<string, unknown>>;

/** Further JSON files of a checkpoint by name, `modules.json`, `2_Dense/config.json`, parsed. */
export type HfFiles = Readonly<Record<string, unknown>>;

/** The Python class that opens a checkpoint. */
export interface PythonClass {
  /** What a module (a name of `rules` without `.weight`) is called in it; PEFT goes by it. */
  moduleName(name: string): string;
  /** It has modules of the same last names that are none of the model's. */
  readonly hasOtherModules: boolean;
}

/** How one kind of checkpoint names and stores a model's parameters. */
export interface Layout {
  readonly id: string;
  readonly rules: readonly LayoutRule[];
  /** Spellings of the same place, by era: applied once each, in this order. */
  readonly prefixes: readonly (readonly [from: string, to: string])[];
  /** Tensors of no use to the model, by name after prefixes: other towers, buffers. */
  readonly ignored: RegExp;
  /**
   * Tensors that follow from the configuration, f32 by name after prefixes: where a file has one it must hold these values, and an export
   * writes all of them. Default none.
   */
  readonly constants?: Readonly<Record<string, Float32Array>>;
  /** The output projection, which Gemma shares with the embedding: must be the same values where it is stored. */
  readonly tiedCopy: string;
  /**
   * Folders of the checkpoint with a model.safetensors of their own. Its tensors' names begin with the folder: `2_Dense/linear.weight`.
   * They are no modules of `pythonClass`. Default none.
   */
  readonly folders?: readonly string[];
  /** Those of `ignored` that an export passes on, as they are. Default none. */
  readonly passedOn?: RegExp;
  /** A name of `rules` as today's writers spell it; in the form of `base`, where that is given. */
  readonly exportName: (name: string, base?: HfConfig) => string;
  /** The class that Python opens for `base`; without it, for the model as it is published. Undefined where Python opens no such files. */
  readonly pythonClass?: (base?: HfConfig) => PythonClass;
}

/** A tensor's or module's name without what eras have put before it. */
export function withoutPrefixes({ prefixes }: Pick<Layout, 'prefixes'>, name: string): string {
  let bare = name;
  for (const [from, to] of prefixes) if (bare.startsWith(from)) bare = to + bare.slice(from.length);
  return bare;
}
