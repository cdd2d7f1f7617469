/** What a load did with every parameter. */
export interface LoadReport {
  /** Bit for bit. */
  readonly loaded: readonly string[];
  /** In another type or order of axes, or the norms of a GGUF, which hold 1 + w. */
  readonly converted: readonly {
    readonly path: string;
    readonly from: string;
    readonly to: string;
    /** What became another: its type (and whatever else), the values alone by a constant that is added, or the order of axes alone. */
    readonly change: 'type' | 'offset' | 'axes';
  }[];
  /** Without weights in the file, initialised by the sink; `path[n:]` where the file has the first n rows. */
  readonly initialised: readonly string[];
  /** In the file, not wanted: other towers, a stored copy of the embedding. Names as in the file. */
  readonly unused: readonly string[];
  /** Without weights in the file, allowed, and not initialised by the sink. */
  readonly missing: readonly string[];
  /** The table that stays in its file, of which rows are read when they are needed: not loaded. */
  readonly onHost: readonly string[];
  /** Read. */
  readonly bytes: number;
  /** On the device, of what the file does not hold. */
  readonly freshBytes: number;
  readonly seconds: number;
}

/** The report in a few lines for a terminal. */
export function formatLoadReport(report: LoadReport): string {
  const mib = report.bytes / 2 ** 20;
  const conversions = new Map<string, number>();
  for (const { from, to, change } of report.converted) {
    const kind =
      change === 'type' ? `${from} → ${to}` : `${from}, ${change === 'offset' ? '1 + w to w' : 'axes reordered'}`;
    conversions.set(kind, (conversions.get(kind) ?? 0) + 1);
  }
  const kinds = [...conversions].map(([kind, count]) => `${count} ${kind}`).join(', ');
  return [
    `${report.loaded.length + report.converted.length} parameters from ${mib.toFixed(1)} MiB in ${report.seconds.toFixed(1)} s`,
    `  as stored    ${report.loaded.length}`,
    ...(report.converted.length > 0 ? [`  converted    ${report.converted.length} (${kinds})`] : []),
    ...list('initialised', report.initialised, `, ${(report.freshBytes / 2 ** 20).toFixed(1)} MiB`),
    ...list('missing', report.missing),
    ...list('on the host', report.onHost),
    ...list('unused', report.unused),
  ].join('\n');
}

function list(label: string, names: readonly string[], size = ''): string[] {
  if (names.length === 0) return [];
  const shown = names.slice(0, 3).join(', ');
  return [`  ${label.padEnd(12)} ${names.length}${size} (${shown}${names.length > 3 ? ', …' : ''})`];
}
