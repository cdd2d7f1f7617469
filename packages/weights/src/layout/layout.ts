import type { GemmaFamily, ModelConfig } from '@lapidary/gemma';
import { textConfigOf } from '@lapidary/gemma';

/** One parameter, or one a layer where the names hold `{i}`. */
export interface LayoutRule {
  /** In the model: `layers.{i}.inputNorm.weight`. */
  readonly path: string;
  /** In the file, after `prefixes` are taken off. */
  readonly name: string;
  /** Only for these generations of the decoder; all where absent. */
  readonly families?: readonly GemmaFamily[];
  /** Added to every value when loading, in float32; taken off again when exporting. */
  readonly offset?: number;
  /** The part of the stored array that is the parameter: an index for each of its first axes; `layer` is the `{i}` of the path. */
  readonly at?: readonly (number | 'layer')[];
  /** The order in which the axes that are left are those of the parameter. Default: as stored. Neighbouring axes may then merge. */
  readonly permute?: readonly number[];
}

/** How one family of checkpoints names and stores parameters. */
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
}

/** Where in a file a parameter lies. */
export interface Place {
  /** Without a prefix. */
  readonly name: string;
  /** What is to be added to the values there. */
  readonly offset: number;
  readonly at: readonly number[];
  readonly permute?: readonly number[];
}

/** A tensor's or module's name without what eras have put before it. */
export function withoutPrefixes(layout: Layout, name: string): string {
  let bare = name;
  for (const [from, to] of layout.prefixes) if (bare.startsWith(from)) bare = to + bare.slice(from.length);
  return bare;
}

const layerNumber = /(^|\.)layers\.(\d+)\./;

/** Where a parameter lies in files of this layout; several places where files differ. */
export function placesOf(layout: Layout, config: ModelConfig, path: string): readonly Place[] {
  const { family } = textConfigOf(config);
  const index = layerNumber.exec(path)?.[2] ?? '';
  const pattern = path.replace(layerNumber, '$1layers.{i}.');
  return layout.rules
    .filter((rule) => rule.path === pattern && (rule.families === undefined || rule.families.includes(family)))
    .map(({ name, offset = 0, at = [], permute }) => ({
      name: name.replace('{i}', index),
      offset,
      at: at.map((axis) => (axis === 'layer' ? Number(index) : axis)),
      ...(permute && { permute }),
    }));
}
