import { crc32c } from './crc32c.js';

/** A CRC of data that may itself hold CRCs: tensorflow/core/lib/hash/crc32c.h. */
function masked(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/**
 * Bytes as a record of TensorFlow's files: u64 length, u32 masked CRC-32C of that, the bytes, u32 masked CRC-32C of them; little-endian
 * (tensorflow/core/lib/io/record_writer.cc).
 */
export function tfRecord(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const record = new Uint8Array(8 + 4 + data.length + 4);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, masked(crc32c(record.subarray(0, 8))), true);
  record.set(data, 12);
  view.setUint32(12 + data.length, masked(crc32c(data)), true);
  return record;
}
