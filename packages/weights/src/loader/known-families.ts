import type { ModelFamily } from '@lapidary/gemma/model';

/** All families that are known; loaded when files are opened, so that who reads only files does not pay for forward passes. */
export async function knownFamilies(): Promise<readonly ModelFamily[]> {
  return (await import('@lapidary/gemma')).families;
}
