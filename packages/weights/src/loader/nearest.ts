import { distance } from 'fastest-levenshtein';

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
    const away = distance(name, other);
    if (away < least) [best, least] = [other, away];
  }
  return best;
}
