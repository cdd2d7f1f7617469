import { PromptImagesError } from './prompt-images-error.js';

/** A picture as it stands among token ids. */
export interface PicturePlaces {
  /** Stands for each of its places. */
  readonly token: number;
  /** How many places it takes. */
  readonly places: number;
}

/** A picture as it stands in a text. */
export interface PictureText extends PicturePlaces {
  /** Says that it stands here: `<start_of_image>`. */
  readonly mark: string;
  /** What is written for the mark; `token` is in it once, for all places. */
  readonly written: string;
}

/** A text with its marks written out. @throws PromptImagesError where there are other than `pictures` of them */
export function writePictures(text: string, { mark, written }: PictureText, pictures: number): string {
  const parts = text.split(mark);
  if (parts.length - 1 !== pictures)
    throw new PromptImagesError(
      `there are ${pictures} pictures, but the text says at ${parts.length - 1} places, by ${mark}, that one stands there`,
    );
  return parts.join(written);
}

/** Places that are taken in a list of values for tokens, with the values of pictures' tokens as often as they have places. */
export function spreadPictures<V>(
  values: readonly V[],
  tokens: readonly number[],
  { token, places }: PicturePlaces,
): V[] {
  return values.flatMap((value, i) => (tokens[i] === token ? new Array<V>(places).fill(value) : [value]));
}
