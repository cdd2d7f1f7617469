import { withoutSecrets } from '@lapidary/weights';
import { DatasetError } from '../data/errors.js';
import { ResumeMismatchError } from '../errors/errors.js';
import type { EncodeContext, PicturePlace } from '../objectives/objective.js';
import { fingerprintAll } from './fingerprint.js';

/** Fingerprints of pictures' bytes, by fingerprints of the places that name them: names may be long, and hold secrets. */
export type PictureFingerprints = Readonly<Record<string, string>>;

/** What a run goes on from. */
export interface SeenBefore {
  /** Where the run is, for messages. */
  readonly location: string;
  readonly pictures: PictureFingerprints;
}

/**
 * The pictures that a run has read, by their bytes. Rows only name them, and to read all before the first step would take hours where there
 * are many: so each is looked at when it is read, and what was learned from one that is another now is never gone on from.
 */
export class SeenPictures {
  readonly #before: SeenBefore;
  readonly #now = new Map<string, string>();

  constructor(before: SeenBefore = { location: '', pictures: {} }) {
    this.#before = before;
  }

  /**
   * Reads as `read` does, and notes what comes; `sourceOf` says what the rows of a file are called in the run.
   * @throws ResumeMismatchError, from what is returned, for a picture that was another when the run was begun; DatasetError for one that
   * was another a while ago
   */
  noting(read: EncodeContext['readImage'], sourceOf: (file: string) => string): EncodeContext['readImage'] {
    return async (image, place) => {
      const bytes = await read(image, place);
      // A picture that is in the row itself is part of the data.
      if (typeof image === 'string' && image.startsWith('data:')) return bytes;
      const source = sourceOf(place.file);
      const where = `row ${place.line}, picture ${place.index + 1}`;
      // Rows may move to other lines, as long as they name the same pictures; what has no name is known by its place.
      const key = fingerprintAll([source, typeof image === 'string' ? image : where]);
      this.#note(key, fingerprintAll([bytes]), image, { ...place, where: `${source}, ${where}` });
      return bytes;
    };
  }

  #note(
    key: string,
    fingerprint: string,
    image: string | Blob,
    place: PicturePlace & { readonly where: string },
  ): void {
    const { location, pictures } = this.#before;
    const name = typeof image === 'string' ? withoutSecrets(image) : 'a file at hand';
    const saved = pictures[key];
    if (saved !== undefined && saved !== fingerprint) {
      const changes = [{ path: `picture ${name} (${place.where})`, saved, now: fingerprint }];
      throw new ResumeMismatchError({ location, changes });
    }
    const once = this.#now.get(key);
    if (once !== undefined && once !== fingerprint) {
      const message = `the picture ${name} is another now than when this run read it before: leave pictures as they are while a run goes on`;
      throw new DatasetError({ file: place.file, line: place.line, message });
    }
    this.#now.set(key, fingerprint);
  }

  /** Those of all pictures that the run has read since it was begun. */
  fingerprints(): PictureFingerprints {
    return { ...this.#before.pictures, ...Object.fromEntries(this.#now) };
  }
}
