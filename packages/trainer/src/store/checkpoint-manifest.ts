import { parseJson } from '@lapidary/gemma';
import type { JsonValue } from '@lapidary/weights';
import * as v from 'valibot';
import { sha256OfText } from './sha256.js';

export const checkpointFolder = 'checkpoints';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const tensorsPattern = new RegExp(`^${checkpointFolder}/step-\\d{8,}\\.[0-9a-f]{8}\\.safetensors$`);
/** Its state is JSON since the text is. */
const manifestSchema = v.object({
  format: v.literal('lapidary-checkpoint-1'),
  /** Optimizer steps done. */
  step: count,
  tensors: v.object({
    file: v.pipe(v.string(), v.regex(tensorsPattern, 'is no file of a checkpoint')),
    bytes: count,
    sha256: v.string(),
  }),
  state: v.custom<JsonValue>((value) => value !== undefined),
});

/** What a checkpoint's JSON file says. A checkpoint exists when this file does and everything in it is true. */
export type CheckpointManifest = v.InferOutput<typeof manifestSchema>;

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
  let parsed: { sha256?: unknown; checkpoint?: unknown } | null;
  try {
    parsed = parseJson(text) as typeof parsed;
  } catch {
    return { reason: 'is not JSON (cut short?)' };
  }
  const checkpoint = v.safeParse(manifestSchema, parsed?.checkpoint);
  if (!checkpoint.success) {
    const [issue] = checkpoint.issues;
    return { reason: `is no checkpoint of this format (${v.getDotPath(issue) ?? 'checkpoint'}: ${issue.message})` };
  }
  if (parsed?.sha256 !== sha256OfText(JSON.stringify(parsed?.checkpoint)))
    return { reason: 'does not have the SHA-256 it names: the file was changed' };
  return checkpoint.output;
}
