import type { Layout, Model, ParamSpec, WeightFormat } from '@lapidary/gemma';
import { WeightFileError } from '../errors.js';

/** Where in a file a parameter lies. */
export interface Place {
  /** Without a prefix. */
  readonly name: string;
  /** What is to be added to the values there. */
  readonly offset: number;
  readonly at: readonly number[];
  readonly permute?: readonly number[];
  readonly takesNoAdapter?: boolean;
}

/** Where a parameter lies in files of this layout; several places where files differ. */
export function placesOf({ rules }: Layout, { path, layer }: Pick<ParamSpec, 'path' | 'layer'>): readonly Place[] {
  const filled = (name: string) => (layer === undefined ? name : name.replace('{i}', String(layer)));
  return rules
    .filter((rule) => filled(rule.path) === path)
    .map(({ name, offset = 0, at = [], permute, takesNoAdapter }) => ({
      name: filled(name),
      offset,
      at: at.map((axis) => (axis === 'layer' ? (layer ?? 0) : axis)),
      ...(permute && { permute }),
      ...(takesNoAdapter && { takesNoAdapter }),
    }));
}

/** How a model lies in files of a format. @throws WeightFileError where there are no such files */
export function layoutOf({ layouts, title }: Model, format: WeightFormat, file: string): Layout {
  const layout = layouts[format];
  if (layout === undefined) throw new WeightFileError({ file }, `there is no ${format} form of a ${title}.`);
  return layout;
}
