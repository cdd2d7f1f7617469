import type { GemmaFamily } from '@lapidary/gemma';

/** One parameter, or one a layer where the names hold `{i}`. */
export interface LayoutRule {
  /** In the model: `layers.{i}.inputNorm.weight`. */
  readonly path: string;
  /** In the file, after `prefixes` are taken off. */
  readonly name: string;
  /** Only for these generations; all where absent. */
  readonly families?: readonly GemmaFamily[];
  /** Added to every value when loading, in float32; taken off again when exporting. */
  readonly offset?: number;
}

/** How one family of checkpoints names and stores parameters. */
export interface Layout {
  readonly id: string;
  readonly rules: readonly LayoutRule[];
  /** Spellings of the same place, by era: applied once each, in this order. */
  readonly prefixes: readonly (readonly [from: string, to: string])[];
  /** Tensors of no use to the text model, by name after prefixes: other towers, buffers. */
  readonly ignored: RegExp;
  /** The output projection, which Gemma shares with the embedding: must be the same values where it is stored. */
  readonly tiedCopy: string;
  /** Put before names when exporting. */
  readonly exportPrefix: string;
}

export type Match =
  | { readonly kind: 'parameter'; readonly path: string; readonly offset: number }
  | { readonly kind: 'tied-copy' }
  | { readonly kind: 'ignored' }
  | { readonly kind: 'unknown' };

/** A tensor's or module's name without what eras have put before it. */
export function withoutPrefixes(layout: Layout, name: string): string {
  let bare = name;
  for (const [from, to] of layout.prefixes) if (bare.startsWith(from)) bare = to + bare.slice(from.length);
  return bare;
}

const layerNumber = /(^|\.)(\d+)(?=\.)/;

/** What a tensor of a file is to the model. */
export function matchName(layout: Layout, family: GemmaFamily, name: string): Match {
  const bare = withoutPrefixes(layout, name);
  if (bare === layout.tiedCopy) return { kind: 'tied-copy' };
  const index = layerNumber.exec(bare)?.[2];
  const pattern = bare.replace(layerNumber, '$1{i}');
  const rule = layout.rules.find((candidate) => candidate.name === pattern && appliesTo(candidate, family));
  // "007" is a number too, but not how any file counts layers: two names must not mean one parameter.
  const canonical = index === undefined || String(Number(index)) === index;
  if (rule !== undefined && canonical) {
    return { kind: 'parameter', path: rule.path.replace('{i}', index ?? ''), offset: rule.offset ?? 0 };
  }
  return { kind: layout.ignored.test(bare) ? 'ignored' : 'unknown' };
}

/** A parameter's name in a file, without a prefix, and what is to be added to its values there; the table backwards. */
export function nameOf(
  layout: Layout,
  family: GemmaFamily,
  path: string,
): { name: string; offset: number } | undefined {
  const index = layerNumber.exec(path)?.[2];
  const pattern = path.replace(layerNumber, '$1{i}');
  const rule = layout.rules.find((candidate) => candidate.path === pattern && appliesTo(candidate, family));
  return rule && { name: rule.name.replace('{i}', index ?? ''), offset: -(rule.offset ?? 0) };
}

function appliesTo(rule: LayoutRule, family: GemmaFamily): boolean {
  return rule.families === undefined || rule.families.includes(family);
}
