// Marks that are put around a text anyway, and that people write too: once each is what models were trained with.

/** The text without the marks that it begins with, in whatever order, and how many those were. */
export function withoutOpening(text: string, marks: readonly string[]): { text: string; found: number } {
  let rest = text;
  let found = 0;
  for (;;) {
    const mark = marks.find((each) => each !== '' && rest.startsWith(each));
    if (mark === undefined) return { text: rest, found };
    rest = rest.slice(mark.length);
    found++;
  }
}

/** The text without the mark that it ends with, and how often that stood there. */
export function withoutEnding(text: string, mark: string): { text: string; found: number } {
  let rest = text;
  let found = 0;
  while (mark !== '' && rest.endsWith(mark)) {
    rest = rest.slice(0, -mark.length);
    found++;
  }
  return { text: rest, found };
}

/** How many of the last characters of a text may be the beginning of one of these marks, of which the text has none whole. */
export function heldBack(text: string, marks: readonly string[]): number {
  const longest = Math.max(0, ...marks.map(({ length }) => length));
  for (let length = Math.min(longest - 1, text.length); length > 0; length--) {
    const end = text.slice(-length);
    if (marks.some((mark) => mark.startsWith(end))) return length;
  }
  return 0;
}
