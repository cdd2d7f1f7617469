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

/** What became of one input; `problem`: what was thrown. */
export interface Verdict {
  readonly kind: 'accepted' | 'refused' | 'finding';
  readonly problem: string;
  readonly files: Files;
}

/** Reads the input of a seed. */
export async function fuzzOne(reader: FuzzReader, seed: number): Promise<Verdict> {
  const files = reader.make(new Dice(seed));
  try {
    await reader.read(files);
    return { kind: 'accepted', problem: '', files };
  } catch (error) {
    if (isTyped(error)) return { kind: 'refused', problem: `${error.name}: ${error.message}`, files };
    return { kind: 'finding', problem: error instanceof Error ? (error.stack ?? error.message) : String(error), files };
  }
}

/** The inputs of `count` seeds from `seed` on: how many were accepted and what was found. */
export async function fuzzMany(
  reader: FuzzReader,
  { seed, count }: { readonly seed: number; readonly count: number },
): Promise<{ readonly accepted: number; readonly findings: readonly Finding[] }> {
  const findings: Finding[] = [];
  let accepted = 0;
  for (let i = seed; i < seed + count; i++) {
    const { kind, problem, files } = await fuzzOne(reader, i);
    if (kind === 'accepted') accepted++;
    if (kind === 'finding') findings.push({ reader: reader.name, seed: i, problem, files });
  }
  return { accepted, findings };
}

/** A finding for people: what happened, the input, and how to see it again. */
export function formatFinding({ reader, seed, problem, files }: Finding): string {
  const lines = Object.entries(files).map(([name, bytes]) => `  ${name} (${bytes.length} bytes): ${excerpt(bytes)}`);
  const again = `  again: npm run fuzz -- ${reader} --seed ${seed} --count 1`;
  return [`${reader}, seed ${seed}: ${problem}`, ...lines, again].join('\n');
}

function excerpt(bytes: Uint8Array): string {
  const some = bytes.subarray(0, 1500);
  const isText = some.every((byte) => byte >= 32 || byte === 9 || byte === 10 || byte === 13);
  return isText
    ? new TextDecoder().decode(some)
    : Array.from(some.subarray(0, 600), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
