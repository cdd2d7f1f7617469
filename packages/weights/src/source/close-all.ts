/** Closes all of them, also those after one that fails. @throws what the first failing one throws */
export async function closeAll(opened: Iterable<{ close?(): Promise<void> }>): Promise<void> {
  const closed = await Promise.allSettled([...opened].map(async (source) => source.close?.()));
  for (const result of closed) if (result.status === 'rejected') throw result.reason;
}
