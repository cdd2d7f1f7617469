import type { JsonValue } from '@lapidary/weights';
import { sha256OfText } from './sha256.js';

/** What a checkpoint's JSON file says. A checkpoint exists when this file does and everything in it is true. */
export interface CheckpointManifest {
  readonly format: 'lapidary-checkpoint-1';
  /** Optimizer steps done. */
  readonly step: number;
  readonly tensors: { readonly file: string; readonly bytes: number; readonly sha256: string };
  readonly state: JsonValue;
}

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
  if (parsed.sha256 !== sha256OfText(JSON.stringify(checkpoint)))
    return { reason: 'does not have the SHA-256 it names: the file was changed' };
  return checkpoint;
}
