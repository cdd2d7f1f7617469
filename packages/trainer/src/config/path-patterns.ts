import type { PathPattern, ResolvedTrainConfig } from './train-config.js';

/** A pattern as a RegExp that matches whole paths. */
export function compilePathPattern(pattern: PathPattern): RegExp {
  if (pattern instanceof RegExp) return new RegExp(`^(?:${pattern.source})$`, pattern.flags.replace(/[gy]/g, ''));
  const source = pattern.replace(/\*\*|\*|[.+?^${}()|[\]\\]/g, (part) =>
    part === '**' ? '.*' : part === '*' ? '[^.]*' : `\\${part}`,
  );
  return new RegExp(`^${source}$`);
}

/** One RegExp that matches the whole paths that any of the patterns matches. */
export function joinPathPatterns(patterns: readonly PathPattern[]): RegExp {
  return new RegExp(patterns.map((pattern) => compilePathPattern(pattern).source).join('|'));
}

/** Whether any of the patterns matches the whole path. */
export function createPathFilter(patterns: readonly PathPattern[]): (path: string) => boolean {
  const compiled = patterns.map(compilePathPattern);
  return (path) => compiled.some((pattern) => pattern.test(path));
}

/**
 * Which parameters a run trains: with LoRA the adapter's leaves (`….lora.a`, `….lora.b`), without it what `trainable` names
 * (null: everything); except what `freeze` names.
 */
export function createTrainableFilter({
  lora,
  freeze,
  trainable,
}: Pick<ResolvedTrainConfig, 'lora' | 'freeze' | 'trainable'>): (path: string) => boolean {
  const isFrozen = createPathFilter(freeze);
  const isNamed = lora ? (path: string) => /\.lora\.[ab]$/.test(path) : createPathFilter(trainable ?? ['**']);
  return (path) => isNamed(path) && !isFrozen(path);
}

/** Whether a linear (by its path without `.weight`, as `layers.3.attn.qProj`) gets an adapter. */
export function createLoraTargetFilter({
  targets,
  towers,
  layers,
}: Pick<NonNullable<ResolvedTrainConfig['lora']>, 'targets' | 'towers' | 'layers'>): (path: string) => boolean {
  const pattern = targets instanceof RegExp ? compilePathPattern(targets) : null;
  return (path) => {
    const layer = /(?:^|\.)layers\.(\d+)\./.exec(path)?.[1];
    if (layers !== null && (layer === undefined || !layers.includes(Number(layer)))) return false;
    return pattern
      ? pattern.test(path)
      : (towers as readonly string[]).includes(towerOf(path)) &&
          (targets as readonly string[]).includes(path.slice(path.lastIndexOf('.') + 1));
  };
}

/** Which part of a model a path belongs to. */
function towerOf(path: string): string {
  return /^(vision|projector)(?=\.|$)/.exec(path)?.[1] ?? 'language';
}
