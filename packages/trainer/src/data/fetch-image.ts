import { fetchBytes } from '@lapidary/weights';
import { DatasetError } from './errors.js';

/** Bytes of one picture's file: above any that has as many pixels as are read. */
export const largestImage = 512 * 2 ** 20;

/** The bytes behind a URL. @throws DatasetError */
export async function fetchImage(url: string): Promise<Uint8Array> {
  const file = url.startsWith('data:') ? `${url.slice(0, 40)}…` : url;
  let bytes: Uint8Array | undefined;
  try {
    bytes = await fetchBytes(url, {}, largestImage);
  } catch (cause) {
    throw new DatasetError(
      { file, message: `the picture could not be fetched: ${(cause as Error).message.replaceAll(url, file)}` },
      { cause },
    );
  }
  if (bytes === undefined)
    throw new DatasetError({ file, message: 'there is no such picture: the server answers 404' });
  return bytes;
}
