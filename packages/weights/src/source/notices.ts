/** Options whose `onNotice`, where there is one, is told each thing once, however many files it is true of. */
export function withNoticesOnce<O extends { readonly onNotice?: (message: string) => void }>(options: O): O {
  const { onNotice } = options;
  if (onNotice === undefined) return options;
  const told = new Set<string>();
  return {
    ...options,
    onNotice: (message) => {
      if (told.has(message)) return;
      told.add(message);
      onNotice(message);
    },
  };
}
