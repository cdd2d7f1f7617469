import * as gemma from '@lapidary/gemma';
import * as gpu from '@lapidary/gpu';
import * as tensor from '@lapidary/tensor';
import * as trainer from '@lapidary/trainer';
import * as weights from '@lapidary/weights';
import type { Dice } from './dice.js';

/** Files by name. */
export type Files = Readonly<Record<string, Uint8Array>>;

/** A reader of bytes that others wrote, and how such bytes are made. */
export interface FuzzReader {
  readonly name: string;
  /** Something right, from none to several things of it changed. */
  make(dice: Dice): Files;
  /**
   * Reads it, and uses what was read as the product does. Resolves where it is accepted; rejects with an error of the packages where
   * it is refused. Anything else that is thrown is a finding: also for something accepted that is wrong.
   */
  read(files: Files): Promise<void>;
}

/** Largest read of one call, and of a whole input. */
const mostBytes = 512 * 2 ** 20;

/** Bytes in memory, that tell when a reader asks for more than a file of this size can be good for. */
export function sourceOf(name: string, bytes: Uint8Array, size = bytes.length): weights.ByteSource {
  let read = 0;
  return {
    name,
    size,
    async read(offset, length) {
      if (
        !Number.isSafeInteger(offset) ||
        !Number.isSafeInteger(length) ||
        offset < 0 ||
        length < 0 ||
        offset + length > size
      )
        throw new weights.WeightFileError({ file: name, offset }, `${length} bytes wanted, the file has ${size}.`);
      read += length;
      if (read > mostBytes) throw new Error(`${read} bytes were read of a file of ${bytes.length}`);
      const piece = new Uint8Array(length);
      piece.set(bytes.subarray(Math.min(offset, bytes.length), Math.min(offset + length, bytes.length)));
      return piece;
    },
  };
}

export const sourcesOf = (files: Files): weights.ByteSource[] =>
  Object.entries(files).map(([name, bytes]) => sourceOf(name, bytes));

const errorClasses: readonly unknown[] = [gemma, gpu, tensor, trainer, weights].flatMap((entry) =>
  Object.values(entry).filter((value) => typeof value === 'function' && value.prototype instanceof Error),
);

/** Whether an error is of a class that the packages export, with its name and something to read. */
export function isTyped(error: unknown): error is Error {
  return (
    error instanceof Error &&
    errorClasses.includes(error.constructor) &&
    Object.hasOwn(error, 'name') &&
    error.message.length > 0 &&
    error.message.length < 20_000
  );
}

export function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** @throws Error, which is no error of the packages, where what was accepted is wrong */
export function mustHold(holds: boolean, what: string): void {
  if (!holds) throw new Error(`accepted, though ${what}`);
}
