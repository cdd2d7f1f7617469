/** The longest pause, in milliseconds: what other work of the thread may have to wait. */
const LONGEST = 0.25;
/** What part of a wait so far a pause may take, and so how late its end may be noticed. */
const PART = 1 / 32;
/** A turn of the event loop longer than this, in milliseconds, had other work to do: there may be more. */
const BUSY = 0.1;

const cell = new Int32Array(new SharedArrayBuffer(4));
let waits = 0;
let isTurning = false;
/** When the latest wait began. */
let waitingSince = 0;
/** When the turn that goes on began: after the pause before it. */
let turnFrom = 0;

/**
 * Waits for something of the GPU's. Dawn's binding for Node looks for it once in every turn of the event loop, and begins the
 * next at once: that takes a whole core, on adapters of the CPU one that kernels need (their products take half as long again
 * on two cores). So each turn with nothing else to do pauses for a moment.
 */
export async function waitForGpu<T>(pending: Promise<T>): Promise<T> {
  waitingSince = turnFrom = performance.now();
  waits++;
  if (!isTurning) setImmediate(turn);
  isTurning = true;
  try {
    return await pending;
  } finally {
    waits--;
  }
}

function turn(): void {
  isTurning = waits > 0;
  if (!isTurning) return;
  const now = performance.now();
  if (now - turnFrom < BUSY) Atomics.wait(cell, 0, 0, Math.min(LONGEST, (now - waitingSince) * PART));
  turnFrom = performance.now();
  setImmediate(turn);
}
