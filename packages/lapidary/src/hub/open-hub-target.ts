import type { HubApiError } from '@huggingface/hub';
import type { HubCommit, HubRequest, PushProgress } from '../engine.js';
import { type HubPatience, hubFetch } from './hub-fetch.js';
import { HubPushError, pushErrorOf } from './hub-push-error.js';
import { type CardFacts, modelCard } from './model-card.js';

/** Which hub, as whom, and how patiently. */
export interface HubAccess extends HubPatience {
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly signal: AbortSignal;
}

/** What goes to the hub in one commit. */
export interface PushedFiles {
  /** Where each file lies, by its name on the hub. */
  readonly files: ReadonlyMap<string, URL>;
  /** Of the card, which is pushed where the repository has none. */
  readonly facts: CardFacts;
  readonly title: string;
}

/** A repository that may be written to. */
export interface WritableRepository {
  /** Its page. */
  readonly url: string;
  push(
    files: PushedFiles,
    options: { readonly onProgress: (progress: PushProgress) => void; readonly signal: AbortSignal },
  ): Promise<HubCommit>;
}

const cardFile = 'README.md';

/**
 * A model's repository on the hub, made where there is none, once it is known that this token may write to it.
 * @throws HubPushError
 */
export async function openHubRepository(
  { repository, isPrivate }: HubRequest,
  { endpoint, token, signal, ...patience }: HubAccess,
): Promise<WritableRepository> {
  const accessToken = checkToken(token, endpoint);
  const hub = await import('@huggingface/hub');
  const access = { hubUrl: endpoint, accessToken, fetch: hubFetch(signal, patience) };
  const repo = { type: 'model', name: repository } as const;
  const asked = { endpoint, repository, token: accessToken };
  const { name: user, auth } = await told(signal, asked, () => hub.whoAmI(access));
  const known = { ...asked, user: String(user) };
  if (auth.accessToken?.role === 'read')
    throw new HubPushError({
      message: `The access token of ${user} may only read.`,
      hint: `Make one with write access on ${endpoint}/settings/tokens, and set HF_TOKEN or run \`hf auth login\`.`,
    });
  await told(signal, known, async () => {
    const wasThere = await createRepository();
    if (wasThere && isPrivate && !(await hub.modelInfo({ name: repository, ...access })).private)
      throw new HubPushError({
        message: `${repository} is there already, and is not private.`,
        hint: 'Name another repository, make this one private in its settings, or leave out --private.',
      });
    await askToWrite();
  });

  /** @returns whether it was there */
  async function createRepository(): Promise<boolean> {
    try {
      await hub.createRepo({ repo, ...(isPrivate && { visibility: 'private' }), ...access });
      return false;
    } catch (error) {
      const status = statusOf(error);
      if (status === 409) return true;
      // A token for this one repository may not make any, but may write to it.
      if (status !== 403) throw error;
      const isThere = await hub.modelInfo({ name: repository, ...access }).then(
        () => true,
        () => false,
      );
      if (!isThere) throw error;
      return true;
    }
  }

  /** The first request of a commit, which changes nothing: the hub refuses it to those who may not write. */
  async function askToWrite(): Promise<void> {
    const response = await access.fetch(`${endpoint}/api/models/${repository}/preupload/main`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${accessToken}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ files: [{ path: cardFile, size: 1, sample: 'Iw==' }] }),
    });
    if (response.ok) return;
    throw Object.assign(new Error(await errorText(response)), { statusCode: response.status });
  }

  return {
    url: `${endpoint}/${repository}`,
    push: ({ files, facts, title }, { onProgress, signal: stop }) =>
      told(stop, known, async () => {
        const through = { ...access, fetch: hubFetch(stop, patience) };
        const operations = [...files].map(([path, content]) => ({ operation: 'addOrUpdate' as const, path, content }));
        if (!(await hub.fileExists({ repo, path: cardFile, ...through }))) {
          const card = modelCard(facts, await licenceOf(facts.base, through));
          operations.push({ operation: 'addOrUpdate', path: cardFile, content: new Blob([card]) as never });
        }
        const steps = hub.commitIter({ repo, operations, title, abortSignal: stop, ...through });
        let next = await steps.next();
        for (; !next.done; next = await steps.next()) {
          if (next.value.event !== 'fileProgress') continue;
          const { path: file, progress, state } = next.value;
          if (state === 'error') throw new Error(`${file} was not taken`);
          onProgress({ file, share: progress, state });
        }
        const commit = next.value?.commit.oid;
        if (typeof commit !== 'string' || commit === '') throw new Error('there is no commit in it');
        return { repository, url: `${endpoint}/${repository}`, commit };
      }),
  };

  /** What the card of the base says, as far as it can be read: a card without a licence is better than no push. */
  async function licenceOf(base: string | null, through: typeof access): Promise<Readonly<Record<string, string>>> {
    if (base === null) return {};
    try {
      const { cardData } = await hub.modelInfo({ name: base, additionalFields: ['cardData'], ...through });
      const fields: Readonly<Record<string, unknown>> = { ...cardData };
      return Object.fromEntries(
        ['license', 'license_name', 'license_link'].flatMap((name) => {
          const value = fields[name];
          return typeof value === 'string' && value !== '' ? [[name, value]] : [];
        }),
      );
    } catch {
      return {};
    }
  }
}

/** Of the hub's own, or of any answer with a status. */
function statusOf(error: unknown): number | undefined {
  const { statusCode } = (error ?? {}) as Partial<HubApiError>;
  return statusCode;
}

async function errorText(response: Response): Promise<string> {
  const text = await response.text();
  try {
    const { error } = JSON.parse(text) as { readonly error?: unknown };
    return typeof error === 'string' ? error : '';
  } catch {
    return '';
  }
}

/** @throws what `pushErrorOf` makes of an error; the signal's reason where it was aborted */
async function told<T>(
  signal: AbortSignal,
  asked: Parameters<typeof pushErrorOf>[1],
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    signal.throwIfAborted();
    throw pushErrorOf(error, asked);
  }
}

/** @throws HubPushError where there is no token, or it cannot be one */
function checkToken(token: string | undefined, endpoint: string): string {
  const hint = `Make one with write access on ${endpoint}/settings/tokens, and set HF_TOKEN or run \`hf auth login\`.`;
  if (token === undefined)
    throw new HubPushError({ message: 'To push to the hub takes an access token, and there is none.', hint });
  if (!/^hf_[\x21-\x7e]+$/.test(token))
    throw new HubPushError({
      message: 'What should be the access token is none: they begin with hf_, and have no spaces or line breaks.',
      hint,
    });
  return token;
}
