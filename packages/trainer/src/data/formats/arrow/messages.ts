import type { ByteSource } from '@lapidary/weights';
import type { Message } from 'apache-arrow';
import { checkFlatbuffer, countIn } from './flatbuffer.js';
import { footerShape, messageShape, recordBatchesField } from './shapes.js';

const magic = 'ARROW1';
/** The magic, filled up to 8 bytes. */
const fileStart = 8;
/** The footer's length, and the magic again. */
const fileEnd = 4 + magic.length;

/** Bytes of one message's description: above any, that of the features of a large data set included. */
const largestMetadata = 64 * 2 ** 20;
/** Bytes of one batch, all of which are in memory at once. */
const largestBody = 2 ** 31;
/** Most values for each byte of a batch: a column of nulls takes none, a truth value an eighth. */
const valuesOfByte = 256;
/** So many values a batch may have in any case. */
const valuesOfNothing = 65_536;

/**
 * The messages of an Arrow stream, or of an Arrow file, which is a stream with a table of contents behind it; as a stream, in pieces. All
 * that is said of lengths is compared with what is there before it is handed on.
 * @throws Error saying what is wrong
 */
export async function* arrowMessages(
  source: ByteSource,
  decode: (metadata: Uint8Array) => Message,
): AsyncGenerator<Uint8Array> {
  const isFile = source.size >= fileStart && textOf(await source.read(0, magic.length)) === magic;
  const { end, batches } = isFile ? await readFooter(source) : { end: source.size, batches: undefined };
  let offset = isFile ? fileStart : 0;
  let read = 0;
  for (let number = 0; ; number++) {
    // What a file has is said by its footer; a stream without an end may have had more.
    if (offset === end && isFile) break;
    if (end - offset < 8) throw new Error('it ends in the middle: it was cut short, or its writer was not closed');
    const prefix = await source.read(offset, 8);
    const view = new DataView(prefix.buffer, prefix.byteOffset, 8);
    if (view.getUint32(0, true) !== 0xffff_ffff)
      throw new Error(`no message of Arrow 0.15 or later begins at byte ${offset}`);
    const length = view.getInt32(4, true);
    offset += 8;
    if (length === 0) {
      if (!isFile && offset !== end) throw new Error(`${end - offset} bytes follow its end`);
      break;
    }
    const at = `message ${number}`;
    if (length < 0 || length > Math.min(largestMetadata, end - offset))
      throw new Error(`${at} states ${length} bytes of metadata, and ${end - offset} follow`);
    const metadata = await source.read(offset, length);
    offset += length;
    const body = checkMessage(metadata, decode, { at, isFirst: number === 0 });
    if (body.bytes > Math.min(largestBody, end - offset))
      throw new Error(`${at} states a body of ${body.bytes} bytes, and ${end - offset} follow`);
    if (body.isBatch) read++;
    yield prefix;
    yield metadata;
    if (body.bytes > 0) yield await source.read(offset, body.bytes);
    offset += body.bytes;
  }
  if (batches !== undefined && batches !== read)
    throw new Error(`its footer states ${batches} batches of rows, and it has ${read}`);
}

const textOf = (bytes: Uint8Array) => String.fromCharCode(...bytes);

/** Where the messages of a file end, and how many batches it says that it has. */
async function readFooter(source: ByteSource): Promise<{ readonly end: number; readonly batches: number }> {
  const last = source.size - fileEnd;
  const tail = last < fileStart ? new Uint8Array(fileEnd) : await source.read(last, fileEnd);
  if (textOf(tail.subarray(4)) !== magic) throw new Error('it does not end as such a file: it was cut short');
  const length = new DataView(tail.buffer, tail.byteOffset, 4).getInt32(0, true);
  if (length <= 0 || length > Math.min(largestMetadata, last - fileStart))
    throw new Error(`its footer states a length of ${length} bytes`);
  const footer = await source.read(last - length, length);
  checkFlatbuffer(footer, footerShape);
  return { end: last - length, batches: countIn(footer, recordBatchesField) };
}

interface Body {
  readonly bytes: number;
  /** Of rows, not of a dictionary. */
  readonly isBatch: boolean;
}

function checkMessage(
  metadata: Uint8Array,
  decode: (metadata: Uint8Array) => Message,
  { at, isFirst }: { readonly at: string; readonly isFirst: boolean },
): Body {
  checkFlatbuffer(metadata, messageShape);
  const message = decode(metadata);
  const bytes = Number(message.bodyLength);
  if (!(bytes >= 0)) throw new Error(`${at} states a body of ${bytes} bytes`);
  if (message.isSchema() !== isFirst)
    throw new Error(isFirst ? 'it does not begin with its schema' : `${at} is another schema`);
  if (message.isSchema()) return { bytes, isBatch: false };
  const batch = message.isDictionaryBatch()
    ? message.header().data
    : message.isRecordBatch()
      ? message.header()
      : undefined;
  if (batch === undefined) throw new Error(`${at} holds no rows`);
  // A library knows the reason better than these counts.
  if (batch.compression !== null) throw new Error('Record batch is compressed but codec not found');
  let values = 0;
  for (const { length, nullCount } of batch.nodes) {
    if (!(length >= 0 && nullCount >= 0 && nullCount <= length))
      throw new Error(`${at} states a column of ${length} values, ${nullCount} of them null`);
    values += Number(length);
  }
  if (!(batch.length >= 0) || values + Number(batch.length) > valuesOfNothing + valuesOfByte * bytes)
    throw new Error(`${at} states ${batch.length} rows, and holds ${bytes} bytes`);
  for (const { offset, length } of batch.buffers)
    if (!(offset >= 0 && length >= 0 && offset + length <= bytes))
      throw new Error(`${at} states values at bytes ${offset} to ${offset + length} of the ${bytes} it holds`);
  const variadic = batch.variadicBufferCounts.reduce((sum, count) => sum + Math.max(0, Number(count)), 0);
  if (variadic > batch.buffers.length) throw new Error(`${at} states ${variadic} buffers of texts`);
  return { bytes, isBatch: message.isRecordBatch() };
}
