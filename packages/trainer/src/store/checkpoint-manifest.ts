import type { JsonValue } from '@lapidary/weights';
import * as v from 'valibot';
import { isTooDeep } from '../data/json-depth.js';
import { sha256OfText } from './sha256.js';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const manifestSchema = v.object({
  format: v.literal('lapidary-checkpoint-1'),
  /** Optimizer steps done. */
  step: count,
  tensors: v.object({ file: v.string(), bytes: count, sha256: v.string() }),
  /** It was parsed from JSON. */
  state: v.custom<JsonValue>(() => true),
});

/** What a checkpoint's JSON file says. A checkpoint exists when this file does and everything in it is true. */
export type CheckpointManifest = v.InferOutput<typeof manifestSchema>;

export const checkpointFolder = 'checkpoints';

export function manifestName(step: number): string {
  return `${checkpointFolder}/step-${String(step).padStart(8, '0')}.json`;
}

/** The step in a manifest's name, or null for other files. */
export function stepOfManifest(name: string): number | null {
  const digits = new RegExp(`^${checkpointFolder}/step-(\\d{8,})\\.json$`).exec(name)?.[1];
  return digits === undefined ? null : Number(digits);
}

/** The text of a manifest, which carries the hash of itself. */
export function formatManifest(manifest: CheckpointManifest): string {
  const checkpoint = JSON.parse(JSON.stringify(manifest)) as CheckpointManifest;
  return `${JSON.stringify({ sha256: sha256OfText(JSON.stringify(checkpoint)), checkpoint })}\n`;
}

/** The manifest in a text, or why it is none. */
export function parseManifest(text: string): CheckpointManifest | { readonly reason: string } {
  let parsed: { sha256?: unknown; checkpoint?: CheckpointManifest };
  try {
    parsed = JSON.parse(text) as typeof parsed;
  } catch {
    return { reason: 'is not JSON (cut short?)' };
  }
  const checkpoint = parsed?.checkpoint;
  if (checkpoint?.format !== 'lapidary-checkpoint-1') return { reason: 'is no checkpoint of this format' };
  if (isTooDeep(checkpoint) || parsed.sha256 !== sha256OfText(JSON.stringify(checkpoint)))
    return { reason: 'does not have the SHA-256 it names: the file was changed' };
  const manifest = v.safeParse(manifestSchema, checkpoint);
  if (manifest.success) return manifest.output;
  const issue = manifest.issues[0];
  return { reason: `is no checkpoint of this format: ${v.getDotPath(issue) ?? 'it'}: ${issue.message}` };
}
