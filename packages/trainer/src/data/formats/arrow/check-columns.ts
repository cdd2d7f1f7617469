import type { Data, RecordBatch, Type } from 'apache-arrow';

/** What is asked of Arrow's library, which is loaded when it is needed. */
export interface ArrowTypes {
  readonly Type: typeof Type;
}

/**
 * Whether the values of a batch are there: the library gives what happens to stand behind a buffer's end, or an empty text.
 * @throws Error naming the column
 */
export function checkColumns(batch: RecordBatch, { Type }: ArrowTypes, checked: WeakSet<Data>): void {
  const names = batch.schema.fields.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new Error(`two columns are called '${twice}'`);
  batch.data.children.forEach((column, i) => {
    const name = `column '${names[i]}'`;
    if (column.length !== batch.numRows)
      throw new Error(`${name} has ${column.length} values, and the batch ${batch.numRows} rows`);
    checkData(column, name);
  });

  function checkData(data: Data, name: string): void {
    if (checked.has(data)) return;
    checked.add(data);
    const { length, stride, children } = data;
    const need = (found: number, wanted: number, what: string) => {
      if (!(found >= wanted)) throw new Error(`${name} states ${length} values, and its ${what} are cut short`);
    };
    if (data.nullCount > 0 && data.typeId !== Type.Null) need(8 * data.nullBitmap.length, length, 'nulls');
    for (const child of children) checkData(child, name);
    const [child] = children;
    switch (data.typeId) {
      case Type.Null:
        break;
      case Type.Bool:
        need(8 * data.values.length, length, 'values');
        break;
      case Type.Utf8:
      case Type.LargeUtf8:
        checkTexts(data, checkOffsets(data, data.values.length, name), name);
        break;
      case Type.Binary:
      case Type.LargeBinary:
        checkOffsets(data, data.values.length, name);
        break;
      case Type.List:
      case Type.LargeList:
      case Type.Map:
        checkOffsets(data, child?.length ?? 0, name);
        break;
      case Type.Struct:
        for (const { length: found } of children) need(found, length, 'fields');
        break;
      case Type.FixedSizeList:
        if (stride < 0) throw new Error(`${name} is of lists with ${stride} values`);
        need(child?.length ?? 0, length * stride, 'values');
        break;
      case Type.Utf8View:
      case Type.BinaryView:
        checkViews(data, name, data.typeId === Type.Utf8View);
        break;
      case Type.Dictionary:
        checkIndices(data, name);
        break;
      default:
        if (stride < 0) throw new Error(`${name} is of values with ${stride} bytes`);
        need(data.values.length, length * stride, 'values');
    }
  }

  /** Rows say where in it their values stand; one of lists could say the same large one again and again. */
  function checkIndices(data: Data, name: string): void {
    const entries = data.dictionary;
    if (entries === undefined) throw new Error(`${name} has no dictionary`);
    if (data.values.length < data.length) throw new Error(`${name} is cut short`);
    for (const part of entries.data) {
      if (part.children.length > 0) throw new Error(`${name} is a dictionary of lists or rows, which is not read`);
      checkData(part, `the dictionary of ${name}`);
    }
    for (let i = 0; i < data.length; i++) {
      const index = Number(data.values[i]);
      if ((index < 0 || index >= entries.length) && data.getValid(i))
        throw new Error(`${name} names entry ${index} of a dictionary of ${entries.length}`);
    }
  }
}

type Offsets = readonly number[];

/** Offsets go up, and end within what they point to. */
function checkOffsets({ length, valueOffsets: given }: Data, most: number, name: string): Offsets {
  // No row, no offset: writers leave the buffer out.
  if (length === 0) return [0];
  const offsets = Array.from({ length: length + 1 }, (_, i) => Number(given[i]));
  if (!((offsets[0] ?? -1) >= 0 && (offsets[length] ?? most + 1) <= most))
    throw new Error(`${name} states ${length} values, and they are cut short`);
  for (let i = 0; i < length; i++)
    if (!((offsets[i + 1] ?? -1) >= (offsets[i] ?? 0)))
      throw new Error(`value ${i + 1} of ${name} ends before it begins`);
  return offsets;
}

/** Bytes decoded at once. */
const pieceBytes = 2 ** 20;

/** UTF-8, with no text beginning in the middle of a character. */
function checkTexts({ values }: Data, offsets: Offsets, name: string): void {
  const end = offsets.at(-1) ?? 0;
  const decoder = new TextDecoder('utf-8', { fatal: true });
  try {
    for (let at = offsets[0] ?? 0; at < end; at += pieceBytes)
      decoder.decode(values.subarray(at, Math.min(end, at + pieceBytes)), { stream: true });
    decoder.decode();
  } catch {
    throw new Error(`${name} has a text that is no UTF-8`);
  }
  const cut = offsets.findIndex((at) => at < end && (values[at] & 0xc0) === 0x80);
  if (cut >= 0) throw new Error(`value ${cut + 1} of ${name} is no UTF-8`);
}

/** Views of 16 bytes: a length, and up to 12 bytes, or which buffer and where in it. */
function checkViews(data: Data, name: string, isText: boolean): void {
  const { values, length, variadicBuffers } = data;
  if (values.length < 16 * length) throw new Error(`${name} states ${length} values, and they are cut short`);
  const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
  const strict = new TextDecoder('utf-8', { fatal: true });
  for (let i = 0; i < length; i++) {
    if (!data.getValid(i)) continue;
    const size = view.getInt32(16 * i, true);
    const from = size > 12 ? (variadicBuffers[view.getInt32(16 * i + 8, true)] ?? new Uint8Array()) : values;
    const start = size > 12 ? view.getInt32(16 * i + 12, true) : 16 * i + 4;
    if (size < 0 || start < 0 || start + size > from.length)
      throw new Error(`value ${i + 1} of ${name} is outside of what is there`);
    if (!isText) continue;
    try {
      strict.decode(from.subarray(start, start + size));
    } catch {
      throw new Error(`value ${i + 1} of ${name} is no UTF-8`);
    }
  }
}
