import { spawnSync } from 'node:child_process';

declare const BENCH_VERSION: string | undefined;

/** The commit that is measured, marked where files of it have been changed; bundles have it written into them. */
export function ownVersion(): string {
  if (typeof BENCH_VERSION === 'string') return BENCH_VERSION;
  const git = (...args: string[]) => spawnSync('git', args, { encoding: 'utf8' }).stdout?.trim() ?? '';
  const isChanged = git('status', '--porcelain', '--', 'packages', 'shaders') !== '';
  return `${git('rev-parse', '--short', 'HEAD')}${isChanged ? ' with changes' : ''}`;
}
