/** Up to ten names, each with the most similar of the others where one is close. */
export function listWithNearest(names: readonly string[], others: readonly string[]): string {
  const lines = names.slice(0, 10).map((name) => {
    const near = nearest(name.slice(0, 200), others);
    return `  ${name.slice(0, 200)}${near === undefined ? '' : ` (nearest: ${near})`}`;
  });
  if (names.length > 10) lines.push(`  … and ${names.length - 10} more`);
  return lines.join('\n');
}

/** Of thousands of names only so many are compared: this is for a message. */
const mostCompared = 2000;

function nearest(name: string, others: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.max(3, Math.floor(name.length / 3));
  for (const other of others.slice(0, mostCompared)) {
    if (Math.abs(other.length - name.length) >= least) continue;
    const distance = editDistance(name, other);
    if (distance < least) [best, least] = [other, distance];
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
