import { UsageError } from '../usage-error.js';

/**
 * What adapters are called: as their folders are (`runs/a` is `a`); `name=folder` says it otherwise. @throws UsageError for two of one name
 */
export function nameAdapters(typed: readonly string[]): Readonly<Record<string, string>> {
  const named = new Map<string, string>();
  for (const text of typed) {
    const [, name = lastPart(text), folder = text] = /^([\w.-]+)=(.+)$/.exec(text) ?? [];
    const fail = (message: string, hint: string): never => {
      throw new UsageError({ message: `--adapter ${text}: ${message}`, hint });
    };
    if (name === 'base') fail('base is the model by itself.', 'Name it: --adapter tuned=folder');
    if (named.has(name))
      fail(`another is called ${name}, too.`, 'Name them: --adapter first=folder --adapter second=folder');
    named.set(name, folder);
  }
  return Object.fromEntries(named);
}

const lastPart = (path: string) =>
  path
    .split(/[/\\]/)
    .filter((part) => part !== '' && part !== '.')
    .at(-1) ?? path;
