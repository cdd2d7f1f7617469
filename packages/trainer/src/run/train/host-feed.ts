import type { HostRows } from '@lapidary/gemma';
import type { HostData } from '@lapidary/tensor';
import type { Batch } from '../../objectives/objective.js';

/** A batch on its way into a program: its inputs, with the rows of a table on the host for its tokens where the model has one. */
export interface Fed<B extends Batch> {
  readonly batch: B;
  readonly inputs: B['inputs'];
}

/** Gives batches the rows of a table that stays on the host, read while the device works on what comes before. */
export class HostFeed {
  readonly #rows: HostRows | undefined;
  readonly #reading = new WeakMap<Batch, Promise<Uint8Array>>();

  /** @param rows undefined for a model without such a table */
  constructor(rows: HostRows | undefined) {
    this.#rows = rows;
  }

  /** Whether there is anything to read. */
  get reads(): boolean {
    return this.#rows !== undefined;
  }

  /** Begins to read what a batch will need. */
  expect(batch: Batch): void {
    if (this.#rows === undefined || this.#reading.has(batch)) return;
    const { inputIds } = batch.inputs as { readonly inputIds?: HostData };
    if (!(inputIds instanceof Int32Array)) throw new TypeError('a batch has no tokens (`inputIds`) to read rows for');
    const reading = this.#rows.read(inputIds);
    // Whoever takes the batch is told.
    reading.catch(() => undefined);
    this.#reading.set(batch, reading);
  }

  /** Batches with their rows; those of the next are read while one is used. @throws what reading throws */
  async *feed<B extends Batch>(batches: Iterable<B> | AsyncIterable<B>): AsyncGenerator<Fed<B>> {
    let before: B | undefined;
    for await (const batch of batches) {
      if (this.#rows === undefined) {
        yield { batch, inputs: batch.inputs };
        continue;
      }
      this.expect(batch);
      if (before !== undefined) yield await this.#fed(before);
      before = batch;
    }
    if (before !== undefined) yield await this.#fed(before);
  }

  async #fed<B extends Batch>(batch: B): Promise<Fed<B>> {
    const hostRows = await this.#reading.get(batch)!;
    // Rows are as large as what is computed with them: none are kept.
    this.#reading.delete(batch);
    return { batch, inputs: { ...batch.inputs, hostRows } };
  }
}
