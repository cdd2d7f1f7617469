import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * The user's access token for gated models, from where Hugging Face's own tools have it: `HF_TOKEN`,
 * `HUGGING_FACE_HUB_TOKEN`, or the file that `hf auth login` writes. It is sent to the hub only.
 */
export function hubToken(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const given = env['HF_TOKEN']?.trim() || env['HUGGING_FACE_HUB_TOKEN']?.trim();
  if (given) return given;
  const folder = env['HF_HOME'] || join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'huggingface');
  try {
    return readFileSync(join(folder, 'token'), 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}
