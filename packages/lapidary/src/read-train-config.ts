import { parseJson } from '@lapidary/gemma';
import {
  ConfigError,
  describeValue,
  resolveTrainConfig,
  type ResolvedTrainConfig,
  type TrainConfig,
} from '@lapidary/trainer';
import type { CliContext } from './cli-context.js';
import { mergeSettings, readSettings, recipeSettings, type Settings } from './config-file.js';
import { toNumber } from './to-number.js';
import type { TrainFlag } from './train-flags/train-flag.js';
import { trainFlags } from './train-flags/train-flags.js';
import { readBytes } from './read-bytes.js';
import { UsageError } from './usage-error.js';

export type FlagValues = Readonly<Record<string, unknown>>;

/** The config that the arguments make: a recipe's, the file of `--config` over it, and the flags over both. */
export async function readTrainConfig(values: FlagValues, context: CliContext): Promise<ResolvedTrainConfig> {
  const named = values['recipe'] === undefined ? {} : recipeSettings(String(values['recipe']));
  const file = values['config'] === undefined ? {} : await readSettings(String(values['config']), context);
  const isContinued = (values['adapter'] ?? file['adapter'] ?? null) !== null;
  const recipe = isContinued ? withoutLora(named) : named;
  const settings = mergeSettings(recipe, file);
  const model = values['model'] ?? settings['model'];
  if (model !== undefined && (typeof model !== 'string' || model === '')) {
    const problem = { path: '--model', found: describeValue(model), allowed: 'a path, a URL or a hub id' };
    throw new ConfigError({ problems: [problem] });
  }
  delete settings['model'];
  const missing = [
    model === undefined && '--model',
    values['data'] === undefined && settings['data'] === undefined && '--data',
  ].filter(Boolean);
  if (missing.length > 0)
    throw new UsageError({
      message: `${missing.join(' and ')} must be given.`,
      hint: 'lapidary finetune --help shows all options.',
    });
  for (const flag of trainFlags) {
    const value = values[attributeOf(flag)];
    if (value !== undefined && flag.name !== '--full') setAt(settings, flag.path, convert(String(value), flag));
  }
  if (values['full'] === true) {
    const given = trainFlags
      .filter((flag) => flag.path.startsWith('lora.') && values[attributeOf(flag)] !== undefined)
      .map(({ name }) => name);
    if (given.length > 0)
      throw new UsageError({
        message: `--full trains without LoRA, but ${given.join(', ')} set it up.`,
        hint: 'Leave out one or the other.',
      });
    settings['lora'] = null;
  }
  // Another part of the same data.
  const evalData = settings['evalData'] as { readonly split?: unknown; readonly source?: unknown } | null | undefined;
  if (typeof evalData === 'object' && evalData?.split !== undefined && evalData.source === undefined)
    settings['evalData'] = { ...(settings['data'] as object), ...evalData };
  for (const field of ['data', 'evalData']) await openSource(settings, field, context);
  const { adapter } = settings;
  if (typeof adapter === 'string' && adapter !== '') settings['adapter'] = context.engine.openAdapter(adapter);
  const baseModel = readBaseModel(settings['weightLoader']);
  const loader = await context.engine.openModel(model ?? '');
  const weightLoader = baseModel === undefined ? loader : { ...loader, baseModel };
  return resolveTrainConfig({ ...settings, weightLoader } as unknown as TrainConfig);
}

/** A recipe for a run that goes on from an adapter: what LoRA that is the adapter says. */
function withoutLora({ lora: _, ...settings }: Settings): Settings {
  return settings;
}

/** Puts what a name stands for in its place; what is no name is left to the config's check. */
async function openSource(settings: Settings, field: string, { engine }: CliContext): Promise<void> {
  const { source } = { source: undefined, ...(settings[field] as object | undefined) } as { readonly source: unknown };
  if (typeof source === 'string' && source !== '')
    settings[field] = { ...(settings[field] as object), source: await engine.openData(source) };
}

/** `weightLoader.baseModel`: the one setting of a loader beside `model`. @throws ConfigError */
function readBaseModel(loader: unknown): string | undefined {
  const { baseModel } = { baseModel: undefined, ...(loader as object | undefined) } as { readonly baseModel: unknown };
  if (baseModel === undefined || (typeof baseModel === 'string' && baseModel.trim() !== '')) return baseModel;
  const allowed = 'a hub id such as google/gemma-3-1b-it';
  throw new ConfigError({ problems: [{ path: 'weightLoader.baseModel', found: describeValue(baseModel), allowed }] });
}

/** The name under which commander gives a flag's value: `--max-length` → `maxLength`. */
export function attributeOf({ name }: Pick<TrainFlag, 'name'>): string {
  return name.slice(2).replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

/** What is no number stays text, so that the config's check reports it together with everything else. */
function convert(text: string, { kind, sets }: TrainFlag): unknown {
  const number = (part: string) => toNumber(part) ?? part;
  const parts = () =>
    text
      .split(',')
      .map((part) => part.trim())
      .filter(Boolean);
  switch (kind) {
    case 'text':
      return text;
    case 'number':
      return number(text);
    case 'bytes':
      return readBytes(text) ?? text;
    case 'names':
      return parts();
    case 'numbers':
      return parts().map(number);
    case 'pairs':
      return Object.fromEntries(parts().map(pair));
    case 'json':
      return jsonOr(text);
    case 'switch':
      return sets ?? true;
  }
}

/** What is no JSON stays text, as above. */
function jsonOr(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return text;
  }
}

/** `qProj=4` as its name and its number. */
function pair(text: string): [string, unknown] {
  const at = text.lastIndexOf('=');
  const value = text.slice(at + 1).trim();
  return at < 0 ? [text, null] : [text.slice(0, at).trim(), toNumber(value) ?? value];
}

function setAt(settings: Settings, path: string, value: unknown): void {
  const parts = path.split('.');
  const last = parts.pop()!;
  let at = settings;
  for (const part of parts) {
    const inner = at[part];
    at = at[part] =
      typeof inner === 'object' && inner !== null && !Array.isArray(inner) ? { ...(inner as Settings) } : {};
  }
  at[last] = value;
}
