import { Dice } from './dice.js';
import { type Files, type FuzzReader, isTyped } from './reader.js';

/** An input that a reader did not take as it should. */
export interface Finding {
  readonly reader: string;
  /** Makes the input again. */
  readonly seed: number;
  readonly problem: string;
  readonly files: Files;
}

/** What one input came to. */
export type Verdict =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'refused' | 'finding'; readonly problem: string };

/** Most milliseconds for one input. */
export const mostMs = 2000;

/** Reads the input of a seed. */
export async function fuzzOne(reader: FuzzReader, seed: number): Promise<Verdict & { readonly files: Files }> {
  const files = reader.make(new Dice(seed));
  const began = performance.now();
  const verdict = await reader.read(files).then(
    (): Verdict => ({ kind: 'accepted' }),
    (error: unknown): Verdict =>
      isTyped(error)
        ? { kind: 'refused', problem: `${error.name}: ${error.message}` }
        : { kind: 'finding', problem: error instanceof Error ? (error.stack ?? error.message) : String(error) },
  );
  const ms = performance.now() - began;
  if (ms > mostMs) return { kind: 'finding', problem: `took ${ms.toFixed(0)} ms, then was ${verdict.kind}`, files };
  return { ...verdict, files };
}

/** The inputs of `count` seeds from `seed` on. */
export async function fuzzMany(
  reader: FuzzReader,
  { seed, count }: { readonly seed: number; readonly count: number },
): Promise<{ readonly accepted: number; readonly findings: readonly Finding[] }> {
  const findings: Finding[] = [];
  let accepted = 0;
  for (let i = seed; i < seed + count; i++) {
    const verdict = await fuzzOne(reader, i);
    if (verdict.kind === 'accepted') accepted++;
    if (verdict.kind === 'finding')
      findings.push({ reader: reader.name, seed: i, problem: verdict.problem, files: verdict.files });
  }
  return { accepted, findings };
}

/** A finding for people: what happened, the input, and how to see it again. */
export function formatFinding({ reader, seed, problem, files }: Finding): string {
  const lines = Object.entries(files).map(([name, bytes]) => `  ${name} (${bytes.length} bytes): ${excerpt(bytes)}`);
  return [
    `${reader}, seed ${seed}: ${problem}`,
    ...lines,
    `  again: npm run fuzz -- ${reader} --seed ${seed} --count 1`,
  ].join('\n');
}

function excerpt(bytes: Uint8Array): string {
  const some = bytes.subarray(0, 1500);
  const isText = some.every((byte) => byte >= 32 || byte === 9 || byte === 10 || byte === 13);
  return isText
    ? new TextDecoder().decode(some)
    : Array.from(some.subarray(0, 600), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
