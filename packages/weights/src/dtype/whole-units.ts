/** Bytes that come in pieces of any size, as pieces of whole units of so many bytes. Copied only where a unit was cut. */
export async function* wholeUnits(
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  unit: number,
): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array = new Uint8Array(0);
  for await (const piece of pieces) {
    const joined = rest.length === 0 ? piece : concat(rest, piece);
    const whole = joined.length - (joined.length % unit);
    if (whole > 0) yield joined.subarray(0, whole);
    rest = joined.slice(whole);
  }
  if (rest.length > 0) throw new RangeError(`${rest.length} bytes are no whole unit of ${unit}`);
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
