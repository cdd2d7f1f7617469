/**
 * What may stand in a field of a FlatBuffers table: a number of so many bytes, a text, a list of things of so many bytes, another table, a
 * list of tables, or one of several tables as the number in the field before says.
 */
export type FieldShape =
  | 1
  | 2
  | 4
  | 8
  | 'text'
  | { readonly bytesEach: number }
  | { readonly table: () => TableShape }
  | { readonly tables: () => TableShape }
  | { readonly oneOf: Readonly<Record<number, TableShape>> };

/** Fields by their number. */
export type TableShape = readonly FieldShape[];

/** A schema that nests deeper is none. */
const mostNested = 64;

/**
 * Whether all offsets and counts of a FlatBuffers message stay within its bytes, which libraries take for granted. No table may stand for
 * many: then a few bytes would say more than can ever be read.
 * @throws Error saying what is wrong
 */
export function checkFlatbuffer(bytes: Uint8Array, shape: TableShape): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let left = bytes.length;
  const need = (at: number, count: number) => {
    if (at < 0 || at + count > bytes.length) throw new Error('its metadata points outside of itself');
  };
  const spend = (count: number) => {
    left -= count;
    if (left < 0) throw new Error('its metadata says more than it holds');
  };
  const u32 = (at: number) => {
    need(at, 4);
    return view.getUint32(at, true);
  };
  const follow = (at: number) => at + u32(at);
  const listAt = (at: number, bytesEach: number) => {
    const start = follow(at);
    const count = u32(start);
    need(start + 4, count * bytesEach);
    return { start: start + 4, count };
  };

  const checkField = (shape: FieldShape, at: number, before: number | undefined, depth: number): void => {
    if (typeof shape === 'number') need(at, shape);
    else if (shape === 'text') spend(listAt(at, 1).count / 16);
    else if ('bytesEach' in shape) spend(listAt(at, shape.bytesEach).count);
    else if ('table' in shape) checkTable(shape.table(), follow(at), depth + 1);
    else if ('oneOf' in shape) {
      const type = before === undefined ? 0 : view.getUint8(before);
      const chosen = shape.oneOf[type];
      if (chosen === undefined) throw new Error(`its metadata speaks of a type that is not known (${type})`);
      checkTable(chosen, follow(at), depth + 1);
    } else {
      const { start, count } = listAt(at, 4);
      spend(count);
      for (let i = 0; i < count; i++) checkTable(shape.tables(), follow(start + 4 * i), depth + 1);
    }
  };

  const checkTable = (shape: TableShape, at: number, depth: number): void => {
    spend(1);
    if (depth > mostNested) throw new Error(`its metadata is nested more than ${mostNested} deep`);
    const fields = fieldsOf(view, at, need);
    shape.forEach((field, i) => {
      const found = fields(i);
      if (found !== undefined) checkField(field, found, fields(i - 1), depth);
    });
  };
  checkTable(shape, u32(0), 0);
}

/** Where a table's fields stand, by their number; undefined where one is left out. */
function fieldsOf(view: DataView, at: number, need: (at: number, count: number) => void) {
  need(at, 4);
  const vtable = at - view.getInt32(at, true);
  need(vtable, 4);
  const size = view.getUint16(vtable, true);
  need(vtable, size);
  return (index: number): number | undefined => {
    const entry = 4 + 2 * index;
    const offset = index < 0 || entry + 2 > size ? 0 : view.getUint16(vtable + entry, true);
    if (offset === 0) return undefined;
    need(at + offset, 1);
    return at + offset;
  };
}

/** How many things a list has: field `index` of the table that a checked message begins with. */
export function countIn(bytes: Uint8Array, index: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = fieldsOf(view, view.getUint32(0, true), () => undefined)(index);
  return at === undefined ? 0 : view.getUint32(at + view.getUint32(at, true), true);
}
