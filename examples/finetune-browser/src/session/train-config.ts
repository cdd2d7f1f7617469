import { readJsonl, resolveTrainConfig, type ResolvedTrainConfig } from '@lapidary/trainer';
import { loaderOf } from './model-loader.js';
import type { DataChoice, RunRequest } from './protocol.js';
import { Problem } from './problem.js';

/** Losses are measured, and checkpoints written, about so many times in a run. */
const evaluations = 10;
const checkpoints = 20;
/** Steps: what a closed tab may cost at most. */
const mostUnsaved = 50;

/** Rows with the pictures themselves in the place of their names. */
async function rowsOf({ name, rows, pictures }: DataChoice): Promise<object> {
  if (pictures.length === 0) return new File([rows], name);
  const byName = new Map(pictures.map((picture) => [picture.name, picture]));
  const found = (path: unknown, line: number) => {
    if (typeof path !== 'string' || /^(https?|data):/.test(path)) return path;
    const picture = byName.get(path.split('/').pop() ?? path);
    if (picture !== undefined) return picture;
    throw new Problem({
      name: 'DatasetError',
      message: `${name}:${line}: the picture ${path} is not among the files that were chosen.`,
      hint: 'Choose the pictures together with the rows.',
    });
  };
  return readJsonl(await rows.text(), name).map(({ line, ...rest }) => {
    if (!('prompt' in rest)) return rest;
    return {
      ...rest,
      ...(rest.image !== undefined && { image: found(rest.image, line) }),
      ...(rest.images !== undefined && { images: rest.images.map((path) => found(path, line)) }),
    };
  });
}

/** The run that a request asks for. @throws ConfigError; Problem for pictures that are not there */
export async function trainConfigOf(
  { model, data, settings }: Omit<RunRequest, 'seesPictures'>,
  options: Parameters<typeof loaderOf>[1] & { readonly resume?: boolean } = {},
): Promise<ResolvedTrainConfig> {
  const { steps, learningRate, rank, batchSize, maxLength, gradientCheckpointing, seed } = settings;
  return resolveTrainConfig({
    weightLoader: loaderOf(model, options),
    data: { source: await rowsOf(data) },
    steps,
    batchSize,
    maxLength,
    gradientCheckpointing,
    seed,
    optimizer: { learningRate },
    lora: { rank, alpha: 2 * rank },
    evalEvery: Math.max(1, Math.round(steps / evaluations)),
    saveEvery: Math.max(1, Math.min(mostUnsaved, Math.round(steps / checkpoints))),
    sampleCount: 4,
    sampleTokens: 48,
    resume: options.resume ?? false,
  });
}
