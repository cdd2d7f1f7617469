import { linearOf } from '@lapidary/gemma';
import { distance } from 'fastest-levenshtein';
import type { ConfigProblem } from '../errors/errors.js';
import {
  compileLinearPattern,
  compilePathPattern,
  createLoraTargetFilter,
  moduleOf,
  type ParamPlace,
} from './path-patterns.js';
import type { PathPattern, ResolvedTrainConfig } from './train-config.js';

/** What a model has that patterns can name. */
export interface ModelPaths {
  /** Parameters, adapters included. */
  readonly parameters: readonly string[];
  /** Weights of the linears that can have an adapter. */
  readonly linears: readonly ParamPlace[];
  /** Those that are trained. */
  readonly trained: readonly string[];
}

/** Patterns and layers of a config that name nothing in the model: a run with them would train something else than was meant. */
export function findUnmatched(
  {
    freeze,
    trainable,
    allowMissing,
    lora,
    paramGroups,
  }: Pick<ResolvedTrainConfig, 'freeze' | 'trainable' | 'allowMissing' | 'lora' | 'paramGroups'>,
  { parameters, linears, trained }: ModelPaths,
): ConfigProblem[] {
  const problems = [
    ...unmatched('freeze', freeze, parameters),
    ...unmatched('trainable', trainable ?? [], parameters),
    ...unmatched('allowMissing', allowMissing, parameters),
    ...paramGroups.flatMap(({ paths }, i) => unmatched(`paramGroups.${i}.paths`, paths, trained)),
  ];
  if (lora === null) return problems;
  const isTarget = createLoraTargetFilter({ ...lora, layers: null });
  const reached = linears.filter(isTarget);
  if (lora.targets instanceof RegExp)
    problems.push(...unmatched('lora.targets', [lora.targets], linears.map(linearOf)));
  else if (reached.length === 0)
    problems.push({
      path: 'lora.targets',
      found: `${[lora.targets].flat().join(', ')}, which the model does not have in ${lora.towers.join(', ')}`,
      allowed: `linears of the model, such as ${linears.slice(0, 1).map(linearOf).join()}`,
    });
  const modules = [...new Set(parameters.filter((path) => !path.includes('.lora.')).map(moduleOf))];
  problems.push(...unmatched('lora.modulesToSave', lora.modulesToSave, modules));
  const adapted = linears.filter(createLoraTargetFilter(lora)).map(linearOf);
  for (const field of ['rankPattern', 'alphaPattern'] as const)
    problems.push(...unmatched(`lora.${field}`, Object.keys(lora[field]), adapted, compileLinearPattern));
  const layers = [...new Set(reached.flatMap(({ layer }) => layer ?? []))];
  for (const layer of reached.length > 0 ? (lora.layers ?? []) : []) {
    if (layers.includes(layer)) continue;
    const allowed = layers.length === 0 ? 'null: these targets are in no layer' : describeLayers(layers);
    problems.push({ path: 'lora.layers', found: String(layer), allowed });
  }
  return problems;
}

function describeLayers(layers: readonly number[]): string {
  const [first, last] = [Math.min(...layers), Math.max(...layers)];
  const isWhole = layers.length === last - first + 1;
  return `layers with these targets: ${isWhole && last > first ? `${first} to ${last}` : layers.join(', ')}`;
}

function unmatched<P extends PathPattern>(
  field: string,
  patterns: readonly P[],
  paths: readonly string[],
  compile: (pattern: P) => RegExp = compilePathPattern,
): ConfigProblem[] {
  return patterns
    .filter((pattern) => !paths.some((path) => compile(pattern).test(path)))
    .map((pattern) => ({
      path: field,
      found: `${typeof pattern === 'string' ? `'${pattern}'` : String(pattern)}, which matches nothing`,
      allowed: `patterns of whole paths; the nearest are ${nearestPaths(pattern, paths).join(', ')}`,
    }));
}

/** The three paths most like a pattern. Layers are alike: each is looked at, and shown, once. */
function nearestPaths(pattern: PathPattern, paths: readonly string[]): string[] {
  const text = typeof pattern === 'string' ? pattern : pattern.source.replace(/[\\^$]/g, '').replace(/\.\*/g, '**');
  const wanted = general(text).replace(/\*\*/g, '');
  const shown = new Map<string, string>();
  for (const path of paths) if (!shown.has(general(path))) shown.set(general(path), path);
  const awayOf = (path: string) => {
    // A pattern that ends in ** names the beginning of paths.
    const parts = path.split('.');
    return Math.min(...parts.map((_, i) => distance(wanted, parts.slice(0, i + 1).join('.'))));
  };
  return [...shown]
    .map(([path, example]) => ({ example, away: awayOf(path) }))
    .sort((a, b) => a.away - b.away)
    .slice(0, 3)
    .map(({ example }) => example);
}

const general = (path: string) => path.slice(0, 200).replace(/\d+/g, '*');
