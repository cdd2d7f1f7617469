import { parseJson } from '@lapidary/gemma';
import { trainConfigJsonSchema } from '@lapidary/trainer';
import type { CliContext } from './cli-context.js';
import { recipes } from './recipes.js';
import { trainFlags } from './train-flags/train-flags.js';
import { UsageError } from './usage-error.js';

/** Fields of a config as a file holds them: those of `TrainConfig`, and `model`. */
export type Settings = Record<string, unknown>;

const holds = 'It holds the fields of TrainConfig, and "model".';

/** Settings of a JSON or YAML file. @throws UsageError */
export async function readSettings(path: string, context: CliContext): Promise<Settings> {
  let text: string;
  try {
    text = await context.readFile(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder' : message;
    throw new UsageError({
      message: `${path} cannot be read: ${reason}.`,
      hint: '--config names a JSON or YAML file.',
    });
  }
  const isYaml = /\.ya?ml$/i.test(path);
  let settings: unknown;
  try {
    settings = isYaml ? await parseYaml(text) : parseJson(text);
  } catch (error) {
    throw new UsageError({
      message: `${path} is not ${isYaml ? 'YAML' : 'JSON'}: ${(error as Error).message}`,
      hint: holds,
    });
  }
  if (typeof settings !== 'object' || settings === null || Array.isArray(settings))
    throw new UsageError({ message: `${path} holds no ${isYaml ? 'mapping' : 'JSON object'}.`, hint: holds });
  const { $schema: _, ...fields } = settings as Settings;
  return fields;
}

/** Loaded with the first YAML file. @throws Error naming line and column */
async function parseYaml(text: string): Promise<unknown> {
  const { parseDocument } = await import('yaml');
  const document = parseDocument(text, { schema: 'core', uniqueKeys: true });
  const [problem] = [...document.errors, ...document.warnings];
  if (problem !== undefined) throw new Error(problem.message);
  return document.toJS({ maxAliasCount: 100 });
}

/** Settings of a recipe. @throws UsageError where there is none of this name */
export function recipeSettings(name: string): Settings {
  const found = recipes.find((recipe) => recipe.name === name);
  if (found !== undefined) return structuredClone(found.settings) as Settings;
  throw new UsageError({
    message: `There is no recipe '${name}'; there are ${recipes.map((recipe) => recipe.name).join(', ')}.`,
    hint: 'lapidary recipes tells what they are for.',
  });
}

/** One over the other: fields of objects one by one, all else as a whole. */
export function mergeSettings(base: Settings, over: Settings): Settings {
  const merged = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const before = merged[key];
    merged[key] = isFields(before) && isFields(value) ? mergeSettings(before, value) : value;
  }
  return merged;
}

const isFields = (value: unknown): value is Settings =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** JSON Schema of a config file, for editors: in the words of the flags. */
export function configFileSchema(): object {
  const help = new Map(trainFlags.map(({ path, help: text }) => [path, text]));
  const { properties, required, ...schema } = trainConfigJsonSchema((path) => help.get(path)) as {
    readonly properties: Readonly<Record<string, object>>;
    readonly required: readonly string[];
  };
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'A configuration of lapidary finetune, plan, profile and tune',
    ...schema,
    properties: {
      $schema: { type: 'string' },
      model: { type: 'string', minLength: 1, description: 'a folder, a .gguf or .npz file, a URL or a hub id' },
      weightLoader: {
        type: 'object',
        properties: { baseModel: { type: 'string', minLength: 1, description: help.get('weightLoader.baseModel') } },
        additionalProperties: false,
      },
      ...properties,
    },
    // Flags may give what a file lacks.
    required: required.filter((field) => field !== 'weightLoader' && field !== 'data'),
  };
}
