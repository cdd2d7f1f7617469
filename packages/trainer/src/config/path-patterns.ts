import { linearOf, type LoraOptions, type LoraSpec } from '@lapidary/gemma';
import type { LoraConfig, PathPattern, ResolvedTrainConfig } from './train-config.js';

/** A pattern as a RegExp that matches whole paths. */
export function compilePathPattern(pattern: PathPattern): RegExp {
  if (pattern instanceof RegExp) return new RegExp(`^(?:${pattern.source})$`, pattern.flags.replace(/[gy]/g, ''));
  const source = pattern.replace(/\*\*|\*|[.+?^${}()|[\]\\]/g, (part) =>
    part === '**' ? '.*' : part === '*' ? '[^.]*' : `\\${part}`,
  );
  return new RegExp(`^${source}$`);
}

/** Whether any of the patterns matches the whole path. */
export function createPathFilter(patterns: readonly PathPattern[]): (path: string) => boolean {
  const compiled = patterns.map(compilePathPattern);
  return (path) => compiled.some((pattern) => pattern.test(path));
}

/** What the filters below ask of a parameter. */
export interface ParamPlace {
  /** `layers.3.attn.qProj.weight`. */
  readonly path: string;
  /** Part of the model. */
  readonly tower: string;
  readonly layer?: number | undefined;
}

/** The module that a parameter is of: `layers.3.inputNorm` of its weight. */
export const moduleOf = (path: string): string => path.slice(0, path.lastIndexOf('.'));

/** Whether the module of a parameter is trained whole beside a LoRA. */
export function createSavedFilter(lora: ResolvedTrainConfig['lora']): (path: string) => boolean {
  const isNamed = createPathFilter(lora?.modulesToSave ?? []);
  return (path) => isNamed(moduleOf(path));
}

/**
 * Which parameters a run trains: with LoRA the adapter's and those of `modulesToSave`, without it what `trainable` names (null:
 * everything); except what `freeze` names.
 */
export function createTrainableFilter({
  lora,
  freeze,
  trainable,
}: Pick<ResolvedTrainConfig, 'lora' | 'freeze' | 'trainable'>): (path: string, kind?: LoraSpec['kind']) => boolean {
  const isFrozen = createPathFilter(freeze);
  const isNamed = createPathFilter(trainable ?? ['**']);
  const isSaved = createSavedFilter(lora);
  return (path, kind) =>
    !isFrozen(path) && (lora === null ? isNamed(path) : kind ? kind !== 'weightNorm' : isSaved(path));
}

/** A pattern of the ends of linears' paths: names such as `qProj`, or more of the path. */
export const compileLinearPattern = (pattern: string): RegExp =>
  new RegExp(`(?:^|\\.)${compilePathPattern(pattern).source.slice(1)}`);

/** Rank and alpha of a linear, where patterns give it others than the LoRA has. */
export function createLoraOverride({
  rankPattern,
  alphaPattern,
}: Pick<LoraConfig, 'rankPattern' | 'alphaPattern'>): NonNullable<LoraOptions['overrideOf']> {
  const firstOf = (patterns: Readonly<Record<string, number>>) => {
    const compiled = Object.entries(patterns).map(([key, value]) => ({ pattern: compileLinearPattern(key), value }));
    return (linear: string) => compiled.find(({ pattern }) => pattern.test(linear))?.value;
  };
  const [rankOf, alphaOf] = [firstOf(rankPattern), firstOf(alphaPattern)];
  return (linear) => ({ rank: rankOf(linear), alpha: alphaOf(linear) });
}

/** Whether a linear, by the place of its weight, gets an adapter: not where it is trained whole. */
export function createLoraTargetFilter(lora: LoraConfig): (weight: ParamPlace) => boolean {
  const { targets, towers, layers } = lora;
  const isSaved = createSavedFilter(lora);
  const pattern = targets instanceof RegExp ? compilePathPattern(targets) : null;
  return (weight) => {
    const { tower, layer } = weight;
    const linear = linearOf(weight);
    if (isSaved(weight.path)) return false;
    if (layers !== null && (layer === undefined || !layers.includes(layer))) return false;
    return pattern
      ? pattern.test(linear)
      : (towers as readonly string[]).includes(tower) &&
          (targets === 'all' || (targets as readonly string[]).includes(linear.slice(linear.lastIndexOf('.') + 1)));
  };
}

/** What the learning rate and the weight decay of a parameter are multiplied by. */
export function createScaleOf(groups: ResolvedTrainConfig['paramGroups']): (path: string) => {
  readonly learningRate: number;
  readonly weightDecay: number;
} {
  const compiled = groups.map((group) => ({ group, isIn: createPathFilter(group.paths) }));
  return (path) => {
    const found = compiled.find(({ isIn }) => isIn(path))?.group;
    return { learningRate: found?.learningRateScale ?? 1, weightDecay: found?.weightDecayScale ?? 1 };
  };
}
