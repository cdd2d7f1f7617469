import { ConfigError, describeValue } from '@lapidary/trainer';
import type { CliContext } from '../cli-context.js';
import type { ExportedFiles, HubCommit, HubTarget } from '../engine.js';
import { HubPushError } from '../hub/hub-push-error.js';
import { UsageError } from '../usage-error.js';

export interface PushValues {
  readonly pushToHub?: string;
  readonly private?: boolean;
}

/** As the hub names repositories. */
const repositoryPattern = /^[A-Za-z0-9_][\w.-]*\/[A-Za-z0-9_][\w.-]{0,95}$/;

/**
 * The repository of `--push-to-hub`, once it is known that it may be written to: before what takes long. Null where nothing is pushed.
 * @throws ConfigError, UsageError, HubPushError
 */
export async function openTarget({ pushToHub, private: isPrivate = false }: PushValues, context: CliContext) {
  if (pushToHub === undefined) {
    if (!isPrivate) return null;
    throw new UsageError({
      message: '--private goes with --push-to-hub.',
      hint: 'It makes the repository a private one.',
    });
  }
  const isName = repositoryPattern.test(pushToHub) && !/\.\.|--|[.-](?:\/|$)|\.git$/.test(pushToHub);
  if (!isName) {
    const problem = {
      path: '--push-to-hub',
      found: describeValue(pushToHub),
      allowed: 'owner/name, such as google/gemma-3-270m',
    };
    throw new ConfigError({ problems: [problem], subject: 'The command' });
  }
  const target = await context.engine.openHubTarget({ repository: pushToHub, isPrivate }, { signal: context.signal });
  return { target, repository: pushToHub };
}

/** A line is written at most this often. */
const lineEveryMs = 10_000;

/** Pushes, and says where it is; where that fails, how to push the files again, which stay. */
export async function pushTo(
  { target, repository }: { readonly target: HubTarget; readonly repository: string },
  exported: ExportedFiles,
  place: string,
  context: CliContext,
): Promise<HubCommit> {
  context.err(`Pushing ${exported.files.join(', ')} to ${target.url} …\n`);
  let lastLine = Date.now();
  try {
    const pushed = await target.push(exported, {
      signal: context.signal,
      onProgress: ({ file, share, state }) => {
        if (Date.now() - lastLine < lineEveryMs) return;
        lastLine = Date.now();
        context.err(`${state === 'hashing' ? 'Reading' : 'Sending'} ${file} … ${Math.floor(100 * share)}%\n`);
      },
    });
    context.err(`Pushed to ${pushed.url}, commit ${pushed.commit}\n`);
    return pushed;
  } catch (error) {
    const again = `The files stay in ${exported.folder}. To push them again: lapidary export ${quoted(place)} --push-to-hub ${repository}`;
    if (!(error instanceof HubPushError)) {
      context.err(`${again}\n`);
      throw error;
    }
    const { message, hint, status } = error;
    throw new HubPushError({ message, hint: hint === null ? again : `${hint}\n${again}`, status });
  }
}

/** A path as a shell takes it. */
const quoted = (path: string) => (/^[\w./\\:~-]+$/.test(path) ? path : `"${path}"`);
