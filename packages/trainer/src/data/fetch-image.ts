import { DatasetError } from './errors.js';

/** The bytes behind a URL. @throws DatasetError */
export async function fetchImage(url: string): Promise<Uint8Array> {
  const file = url.startsWith('data:') ? `${url.slice(0, 40)}…` : url;
  let response: Response;
  try {
    response = await fetch(url);
  } catch (cause) {
    throw new DatasetError(
      { file, message: `the picture could not be fetched: ${(cause as Error).message}` },
      { cause },
    );
  }
  if (!response.ok) throw new DatasetError({ file, message: `the server answered ${response.status}` });
  return new Uint8Array(await response.arrayBuffer());
}
