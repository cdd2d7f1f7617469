import { linearOf } from '@lapidary/gemma';
import type { PathPattern, ResolvedTrainConfig } from './train-config.js';

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

/**
 * Which parameters a run trains: with LoRA the adapter's, without it what `trainable` names (null: everything); except what `freeze`
 * names.
 */
export function createTrainableFilter({
  lora,
  freeze,
  trainable,
}: Pick<ResolvedTrainConfig, 'lora' | 'freeze' | 'trainable'>): (param: {
  readonly path: string;
  readonly isAdapter: boolean;
}) => boolean {
  const isFrozen = createPathFilter(freeze);
  const isNamed = createPathFilter(trainable ?? ['**']);
  return ({ path, isAdapter }) => (lora ? isAdapter : isNamed(path)) && !isFrozen(path);
}

/** Whether a linear, by the place of its weight, gets an adapter. */
export function createLoraTargetFilter({
  targets,
  towers,
  layers,
}: Pick<NonNullable<ResolvedTrainConfig['lora']>, 'targets' | 'towers' | 'layers'>): (weight: ParamPlace) => boolean {
  const pattern = targets instanceof RegExp ? compilePathPattern(targets) : null;
  return (weight) => {
    const { tower, layer } = weight;
    const linear = linearOf(weight);
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
