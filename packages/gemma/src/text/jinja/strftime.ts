const months = 'January February March April May June July August September October November December'.split(' ');
const days = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');

const padded = (value: number, width = 2) => String(value).padStart(width, '0');
const dayOfYear = (now: Date) =>
  (Date.UTC(now.getFullYear(), now.getMonth(), now.getDate()) - Date.UTC(now.getFullYear(), 0, 0)) / 86_400_000;

const directives: Readonly<Record<string, (now: Date) => string>> = {
  Y: (now) => String(now.getFullYear()),
  y: (now) => padded(now.getFullYear() % 100),
  m: (now) => padded(now.getMonth() + 1),
  B: (now) => months[now.getMonth()]!,
  b: (now) => months[now.getMonth()]!.slice(0, 3),
  d: (now) => padded(now.getDate()),
  e: (now) => String(now.getDate()).padStart(2),
  j: (now) => padded(dayOfYear(now), 3),
  A: (now) => days[now.getDay()]!,
  a: (now) => days[now.getDay()]!.slice(0, 3),
  w: (now) => String(now.getDay()),
  H: (now) => padded(now.getHours()),
  I: (now) => padded(now.getHours() % 12 || 12),
  p: (now) => (now.getHours() < 12 ? 'AM' : 'PM'),
  M: (now) => padded(now.getMinutes()),
  S: (now) => padded(now.getSeconds()),
  F: (now) => `${now.getFullYear()}-${padded(now.getMonth() + 1)}-${padded(now.getDate())}`,
  T: (now) => `${padded(now.getHours())}:${padded(now.getMinutes())}:${padded(now.getSeconds())}`,
  '%': () => '%',
};
/** Of which glibc leaves out the leading zeros, `%-d`. */
const withoutZeros = 'ymdjHIMS';

/** The time as Python's `datetime.strftime` writes it, in English. @throws Error for directives that are not supported */
export function strftime(format: string, now: Date): string {
  return format.replace(/%(-?)([\s\S]?)/gu, (all, minus: string, name: string) => {
    const write = Object.hasOwn(directives, name) ? directives[name] : undefined;
    if (write === undefined || (minus !== '' && !withoutZeros.includes(name)))
      throw new Error(`it writes the time by '${all}', which is not supported`);
    return minus === '' ? write(now) : String(Number(write(now)));
  });
}
