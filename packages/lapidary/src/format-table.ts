/** Rows of cells in columns that line up, from column `numbersFrom` on at their right ends; otherwise the last is as wide as it is. */
export function formatTable(
  rows: readonly (readonly string[])[],
  { numbersFrom = Infinity }: { readonly numbersFrom?: number } = {},
): string {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, index) => {
      widths[index] = Math.max(widths[index] ?? 0, cell.length);
    });
  const pad = (cell: string, index: number, { length }: readonly string[]) => {
    if (index >= numbersFrom) return cell.padStart(widths[index]!);
    return index < length - 1 ? cell.padEnd(widths[index]!) : cell;
  };
  return rows.map((row) => row.map(pad).join('  ')).join('\n');
}
