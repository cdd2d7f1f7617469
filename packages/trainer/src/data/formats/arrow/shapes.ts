// Arrow's metadata as its format says (Message.fbs, Schema.fbs, File.fbs), fields in their order.
import type { TableShape } from './flatbuffer.js';

const keyValue: TableShape = ['text', 'text'];
const keyValues = { tables: () => keyValue };

const int: TableShape = [4, 1];
const none: TableShape = [];
/** Types of columns by their number; what is not here, no row is made of. */
const types: Readonly<Record<number, TableShape>> = {
  /* Null */ 1: none,
  /* Int: bitWidth, is_signed */ 2: int,
  /* FloatingPoint: precision */ 3: [2],
  /* Binary */ 4: none,
  /* Utf8 */ 5: none,
  /* Bool */ 6: none,
  /* Decimal: precision, scale, bitWidth */ 7: [4, 4, 4],
  /* Date: unit */ 8: [2],
  /* Time: unit, bitWidth */ 9: [2, 4],
  /* Timestamp: unit, timezone */ 10: [2, 'text'],
  /* Interval: unit */ 11: [2],
  /* List */ 12: none,
  /* Struct */ 13: none,
  /* FixedSizeBinary: byteWidth */ 15: [4],
  /* FixedSizeList: listSize */ 16: [4],
  /* Map: keysSorted */ 17: [1],
  /* Duration: unit */ 18: [2],
  /* LargeBinary */ 19: none,
  /* LargeUtf8 */ 20: none,
  /* LargeList */ 21: none,
  /* BinaryView */ 23: none,
  /* Utf8View */ 24: none,
};

/** id, indexType, isOrdered, dictionaryKind */
const dictionaryEncoding: TableShape = [8, { table: () => int }, 1, 2];
/** name, nullable, type_type, type, dictionary, children, custom_metadata */
const field: TableShape = [
  'text',
  1,
  1,
  { oneOf: types },
  { table: () => dictionaryEncoding },
  { tables: () => field },
  keyValues,
];
/** endianness, fields, custom_metadata, features */
const schema: TableShape = [2, { tables: () => field }, keyValues, { bytesEach: 8 }];
/** codec, method */
const compression: TableShape = [1, 1];
/** length, nodes, buffers, compression, variadicBufferCounts */
const recordBatch: TableShape = [
  8,
  { bytesEach: 16 },
  { bytesEach: 16 },
  { table: () => compression },
  { bytesEach: 8 },
];
/** id, data, isDelta */
const dictionaryBatch: TableShape = [8, { table: () => recordBatch }, 1];

/** version, header_type, header, bodyLength, custom_metadata */
export const messageShape: TableShape = [
  2,
  1,
  { oneOf: { 1: schema, 2: dictionaryBatch, 3: recordBatch } },
  8,
  keyValues,
];
/** version, schema, dictionaries, recordBatches, custom_metadata */
export const footerShape: TableShape = [2, { table: () => schema }, { bytesEach: 24 }, { bytesEach: 24 }, keyValues];
/** In a footer. */
export const recordBatchesField = 3;
