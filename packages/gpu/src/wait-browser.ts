/** What part of a wait so far may pass until its end is noticed. */
const part = 1 / 32;
/** ms */
const shortest = 1;

/**
 * Waits for something of the GPU's. Firefox looks for what is done ten times a second, and whenever something is submitted: while we
 * wait nothing is submitted, again and again. A value that is read back is there after 2 ms then instead of 100.
 */
export async function waitForGpu<T>(pending: Promise<T>, queue?: Pick<GPUQueue, 'submit'>): Promise<T> {
  if (queue === undefined) return pending;
  const since = performance.now();
  let timer: ReturnType<typeof setTimeout>;
  const look = () => {
    queue.submit([]);
    waitOn();
  };
  const waitOn = () => {
    timer = setTimeout(look, Math.max(shortest, (performance.now() - since) * part));
  };
  waitOn();
  try {
    return await pending;
  } finally {
    clearTimeout(timer!);
  }
}
