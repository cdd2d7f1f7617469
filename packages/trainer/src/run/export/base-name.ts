import { hubIdOf, type OpenedWeights, type WeightLoader } from '@lapidary/weights';

/**
 * What an adapter names as its base: what the loader says, else what the files say of where the model is on the hub. Never a path: it means
 * nothing on another machine, and tells of this one. Undefined where nothing is known.
 */
export function baseNameOf(
  { baseModel, description }: Pick<WeightLoader, 'baseModel' | 'description'>,
  { format, metadata }: Pick<OpenedWeights, 'format' | 'metadata'>,
): string | undefined {
  if (baseModel !== undefined) return baseModel;
  if (format === 'gguf') return baseOfGguf(metadata);
  if (format === 'npz') return undefined;
  const { _name_or_path: name } = metadata;
  return [description, name].flatMap((text) => (typeof text === 'string' ? (hubIdOf(text) ?? []) : []))[0];
}

/** Where the model was that the file was made of; its one parent only where that is not a variant that it began from. */
function baseOfGguf(metadata: OpenedWeights['metadata']): string | undefined {
  const idAt = (key: string) => {
    const text = metadata[key];
    return typeof text === 'string' ? hubIdOf(text.replace(/\.git$/, '')) : undefined;
  };
  const source =
    idAt('general.source.huggingface.repository') ?? idAt('general.source.repo_url') ?? idAt('general.source.url');
  if (source !== undefined) return source;
  const parent = idAt('general.base_model.0.repo_url');
  if (parent === undefined || Number(metadata['general.base_model.count'] ?? 1) !== 1) return undefined;
  const parts = (text: unknown) => (typeof text === 'string' ? text.toLowerCase().split(/[^a-z0-9]+/) : []);
  const isVariant = (part: string) => variants.includes(part);
  const found = parts(parent.split('/')[1]).filter(isVariant);
  const own = [...parts(metadata['general.name']), ...parts(metadata['general.finetune'])].filter(isVariant);
  return own.every((part) => found.includes(part)) ? parent : undefined;
}

/** What publishers call a model's variants: one that speaks, and the one that it was trained from. */
const variants: readonly string[] = ['it', 'pt', 'instruct', 'chat', 'base'];
