import { WeightSourceError } from '../errors.js';
import { fetchWithRetries, type HttpOptions } from './http.js';
import type { HubPlace } from './platform.js';

/** A file of a hub repository, as the hub describes it. */
export interface HubEntry {
  readonly name: string;
  /** Bytes; undefined where the hub does not say. */
  readonly size?: number;
  /** Of its bytes, in lower-case hexadecimal; hubs state it for large files only. */
  readonly sha256?: string;
}

/** What a hub says of a repository at one commit. */
export interface HubListing {
  readonly commit: string;
  readonly files: readonly HubEntry[];
}

const commitPattern = /^[0-9a-f]{40}$/;
const sha256Pattern = /^[0-9a-f]{64}$/;

/** Asks the hub for a repository's commit and files; undefined where it has no such interface, as plain mirrors. */
export async function fetchHubListing(
  { endpoint, id, revision }: HubPlace,
  options: HttpOptions,
): Promise<HubListing | undefined> {
  const kind = id.startsWith('datasets/') ? '' : 'models/';
  const url = `${endpoint}/api/${kind}${id}/revision/${encodeURIComponent(revision)}?blobs=true`;
  try {
    // The browser's own cache may hold what the branch was before.
    const response = await fetchWithRetries(url, { cache: 'no-cache' }, options);
    return readAnswer(await response.json().catch(() => undefined));
  } catch (error) {
    if (error instanceof WeightSourceError && [404, 405, 501].includes(error.status ?? 0)) return undefined;
    throw error;
  }
}

function readAnswer(answer: unknown): HubListing | undefined {
  const { sha, siblings } = (answer ?? {}) as { sha?: unknown; siblings?: unknown };
  if (typeof sha !== 'string' || !commitPattern.test(sha) || !Array.isArray(siblings)) return undefined;
  const files = siblings.flatMap((sibling: unknown): HubEntry[] => {
    const { rfilename, size, lfs } = (sibling ?? {}) as { rfilename?: unknown; size?: unknown; lfs?: unknown };
    if (typeof rfilename !== 'string') return [];
    const large = (lfs ?? {}) as { sha256?: unknown; size?: unknown };
    const bytes = [large.size, size].find(
      (value): value is number => Number.isSafeInteger(value) && Number(value) >= 0,
    );
    const hash = typeof large.sha256 === 'string' && sha256Pattern.test(large.sha256) ? large.sha256 : undefined;
    return [
      { name: rfilename, ...(bytes !== undefined && { size: bytes }), ...(hash !== undefined && { sha256: hash }) },
    ];
  });
  return { commit: sha, files };
}

/** A listing as it was kept; undefined where it is none. */
export function parseHubListing(value: unknown): HubListing | undefined {
  const { commit, files } = (value ?? {}) as Partial<HubListing>;
  const isListing =
    typeof commit === 'string' &&
    commitPattern.test(commit) &&
    Array.isArray(files) &&
    files.every((file) => typeof file?.name === 'string');
  return isListing ? { commit, files } : undefined;
}

export function isCommit(revision: string): boolean {
  return commitPattern.test(revision);
}
