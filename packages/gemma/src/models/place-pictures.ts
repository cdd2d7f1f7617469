import { add, embedding, reshape, type Tensor, TensorLike } from '@lapidary/tensor';
import type { Model, VisionGeometry } from '../families/family.js';
import { PromptImagesError } from '../text/prompt-images-error.js';

/** What a sequence's tokens are to a model. */
export interface PlacedTokens {
  /** Ids of the text; −1 where a picture's token stands. */
  readonly ids: Int32Array;
  /** Block of each, as in records: what sees itself in both directions is one. */
  readonly blocks: Int32Array;
  /** Which of the sequence's pictures' tokens stands there; −1: one of the text. */
  readonly pictureRows: Int32Array;
}

/**
 * Tells pictures from text in a sequence's token ids.
 * @param prefix how many of the first tokens see each other in both directions
 */
export function placeTokens(
  tokens: ArrayLike<number>,
  vision: Pick<VisionGeometry, 'imageToken' | 'isBlock'> | undefined,
  prefix = 0,
): PlacedTokens {
  const { length } = tokens;
  const placed = {
    ids: new Int32Array(length),
    blocks: new Int32Array(length),
    pictureRows: new Int32Array(length),
  };
  let seen = 0;
  let first = -1;
  for (let i = 0; i < length; i++) {
    const isPicture = vision !== undefined && tokens[i] === vision.imageToken;
    if (!isPicture) first = -1;
    else if (first < 0) first = i;
    placed.ids[i] = isPicture ? -1 : tokens[i]!;
    placed.pictureRows[i] = isPicture ? seen++ : -1;
    placed.blocks[i] = i < prefix ? 0 : isPicture && vision.isBlock ? first : i;
  }
  return placed;
}

/** @throws PromptImagesError where token ids have other than `pictures` pictures' places */
export function checkPictureTokens(
  tokens: readonly number[],
  { imageToken, tokensPerImage }: Pick<VisionGeometry, 'imageToken' | 'tokensPerImage'>,
  pictures: number,
): void {
  const found = tokens.reduce((n, token) => n + (token === imageToken ? 1 : 0), 0);
  const expected = pictures * tokensPerImage;
  if (found === expected) return;
  throw new PromptImagesError(
    `${pictures} pictures take ${expected} places among the tokens, but ${found} are there: token ${imageToken} stands for a picture's place and for nothing else`,
  );
}

/** Types of a program's inputs for so many pictures among tokens [B, T]; none for none. */
export function pictureTypes(
  { vision }: Pick<Model, 'vision'>,
  pictures: number,
  tokens: readonly [batch: number, length: number],
): { readonly patches?: TensorLike; readonly pictureRows?: TensorLike } {
  if (pictures === 0) return {};
  if (vision === undefined) throw new TypeError('there are pictures, but the model has no vision tower');
  return {
    patches: new TensorLike('f32', [pictures, vision.patchesPerImage, vision.patchValues]),
    pictureRows: new TensorLike('i32', tokens),
  };
}

/** Embeddings f32 [B, T, d] with pictures' tokens f32 [R, d] where `pictureRows` i32 [B, T] says; they are 0 there before. */
export function placePictures(embedded: Tensor, features: Tensor, pictureRows: Tensor): Tensor {
  return add(embedded, embedding(reshape(features, [-1, embedded.shape.at(-1)!]), pictureRows));
}
