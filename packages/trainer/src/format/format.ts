const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** Bytes for people: `1.5 GiB`; whole numbers below 1 KiB. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${units[unit]}`;
}

/** Seconds for people: `42 s`, `3 min 05 s`, `2 h 07 min`, `3 d 4 h`. */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–';
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (value: number) => String(value).padStart(2, '0');
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
  const hours = Math.round(seconds / 3600);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A number in few characters, without losing small ones: `2.314`, `0.0342`, `2.00e-4`. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size < 1e-3) return value.toExponential(2);
  if (size < 0.1) return value.toPrecision(3);
  if (size < 100) return value.toFixed(3);
  return size < 1e5 ? value.toFixed(size < 1000 ? 1 : 0) : value.toExponential(2);
}

/** An adapter in few words: `llvmpipe (vulkan)`. */
export function formatAdapter({
  device,
  description,
  vendor,
  backend,
}: {
  readonly device?: string | undefined;
  readonly description?: string | undefined;
  readonly vendor: string;
  readonly backend: string;
}): string {
  return `${device || description || vendor || 'unnamed'} (${backend})`;
}
