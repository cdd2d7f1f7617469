import { fetchBytes } from '@lapidary/weights';
import { DatasetError } from './errors.js';

/** Bytes of one picture's file: above any that has as many pixels as are read. */
export const largestImage = 512 * 2 ** 20;

/**
 * The URL that a row of `dataFile` means by a picture's name: one as it is, or from where the data are; undefined where that is this
 * machine. @throws DatasetError where others' data would read files of this machine
 */
export function imageUrlOf(path: string, dataFile: string): string | undefined {
  if (/^(https?|data):/i.test(path)) return path;
  const fail = (message: string): never => {
    throw new DatasetError({ file: dataFile, message });
  };
  const shown = path.slice(0, 200);
  if (dataFile.startsWith('hf:'))
    return fail(`the picture '${shown}' is a path; in rows of the hub pictures are bytes or URLs`);
  if (!/^https?:/i.test(dataFile)) return undefined;
  const url = URL.canParse(path, dataFile) ? new URL(path, dataFile) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    return fail(`the picture '${shown}' is neither a URL nor a path from that of the data`);
  return url.href;
}

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
