import { decodeImage, PromptImagesError, type Model, type RgbImage } from '@lapidary/gemma';
import { DatasetError } from '../../data/errors.js';
import { ResumeMismatchError } from '../../errors/errors.js';
import type { EncodeContext, PicturePlace } from '../objective.js';
import type { BatchPictures } from './batch.js';
import { imagesOf, type ImageReference, type TextualRow } from './rows.js';
import type { CompletionExample } from './tokenise.js';

export interface PictureOptions {
  /** Patches of a picture as the model takes them. */
  readonly prepare: (image: RgbImage) => Float32Array;
  /** The file that rows come from, for messages. */
  readonly file: string;
  /** Bytes of a picture that is not in its row. */
  readonly read: EncodeContext['readImage'];
  /** Most bytes of prepared pictures that are kept. Default 256 MiB. */
  readonly cacheBytes?: number;
}

const defaultCacheBytes = 256 * 2 ** 20;
const largestDataUrl = 2 ** 20;

/** The pictures of a data set as a vision tower takes them. The last ones used are kept; the others are decoded again. */
export class Pictures {
  readonly #options: PictureOptions;
  readonly #kept = new Map<ImageReference, Float32Array>();

  constructor(options: PictureOptions) {
    this.#options = options;
  }

  /** f32 [I·N, 3·p·p] of a row's I pictures. @throws DatasetError naming the line and the picture */
  async patchesOf(row: TextualRow): Promise<Float32Array> {
    const parts: Float32Array[] = [];
    for (const [reference, place] of this.#placesOf(row)) parts.push(await this.#prepare(reference, place));
    const joined = new Float32Array(parts.reduce((n, part) => n + part.length, 0));
    let at = 0;
    for (const part of parts) {
      joined.set(part, at);
      at += part.length;
    }
    return joined;
  }

  /** The pictures of a row as they are, for a report; those of more than a megabyte are left out. */
  async dataUrlsOf(row: TextualRow): Promise<string[]> {
    const urls: string[] = [];
    for (const [reference, place] of this.#placesOf(row)) {
      const bytes = await this.#bytesOf(reference, place);
      if (bytes.length <= largestDataUrl) urls.push(toDataUrl(bytes));
    }
    return urls;
  }

  #placesOf(row: TextualRow): (readonly [ImageReference, PicturePlace])[] {
    const { file = this.#options.file, line } = row;
    return imagesOf(row).map((reference, index) => [reference, { file, line, index }]);
  }

  async #bytesOf(reference: ImageReference, place: PicturePlace): Promise<Uint8Array> {
    return reference instanceof Uint8Array ? reference : this.#options.read(reference, place);
  }

  async #prepare(reference: ImageReference, place: PicturePlace): Promise<Float32Array> {
    // Files in two folders may name a picture of their own alike.
    const key = typeof reference === 'string' ? `${place.file}\n${reference}` : reference;
    const before = this.#kept.get(key);
    if (before !== undefined) {
      // To the end: the first are given up first.
      this.#kept.delete(key);
      this.#kept.set(key, before);
      return before;
    }
    const { prepare, cacheBytes = defaultCacheBytes } = this.#options;
    try {
      const name = typeof reference === 'string' ? { name: reference } : {};
      const image = await decodeImage(await this.#bytesOf(reference, place), name);
      const patches = prepare(image);
      this.#kept.set(key, patches);
      const [oldest] = this.#kept.keys();
      if (this.#kept.size * patches.byteLength > cacheBytes && oldest !== undefined) this.#kept.delete(oldest);
      return patches;
    } catch (error) {
      if (error instanceof ResumeMismatchError) throw error;
      const { file, line } = place;
      throw new DatasetError({ file, line, message: (error as Error).message }, { cause: error });
    }
  }
}

/**
 * How many pictures a row has.
 * @throws PromptImagesError where it has some and the model sees none, or none and the model's prompts need one
 */
export function countPictures(row: TextualRow, { vision, prompt }: Pick<Model, 'vision' | 'prompt'>): number {
  const count = imagesOf(row).length;
  if (count > 0 && vision === undefined)
    throw new PromptImagesError('this row has a picture, but the model has no vision tower');
  if (count === 0 && prompt.needsPictures)
    throw new PromptImagesError(`this row has no picture; rows of this model are such as ${prompt.rowExample}`);
  return count;
}

/** The pictures of examples as a batch takes them; undefined for a model that sees none. @throws DatasetError as `Pictures.patchesOf` */
export async function picturesOfBatch(
  { vision }: Model,
  examples: readonly (Pick<CompletionExample, 'row' | 'pictures'> | object)[],
): Promise<BatchPictures | undefined> {
  if (vision === undefined) return undefined;
  const patches = examples.flatMap((example) =>
    'pictures' in example && example.pictures ? [example.pictures.patchesOf(example.row)] : [],
  );
  return { vision, patches: await Promise.all(patches) };
}

/** A PNG, JPEG or WebP as a URL that holds it. */
function toDataUrl(bytes: Uint8Array): string {
  const type = bytes[0] === 0x89 ? 'png' : bytes[0] === 0xff ? 'jpeg' : 'webp';
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return `data:image/${type};base64,${btoa(binary)}`;
}
