// Messages of tensorboard/compat/proto/{event,summary,tensor}.proto, fields in the order of their numbers.

/** A field of a protobuf message: its bytes with the tag before them. */
type Field = readonly number[] | Uint8Array;

/** What an event tells of: what the file is, that a session begins, or a value. */
export type EventContent =
  | { readonly fileVersion: string }
  /** Readers drop what earlier files have of the event's step and later ones: it is done again. */
  | { readonly sessionStart: true }
  | { readonly tag: string; readonly scalar: number }
  | { readonly tag: string; readonly text: string };

/** An `Event` in protobuf. `wallTime` in seconds since 1970. */
export function encodeEvent(wallTime: number, step: number, content: EventContent): Uint8Array {
  return message([double(1, wallTime), varint(2, step), contentField(content)]);
}

function contentField(content: EventContent): Field {
  if ('fileVersion' in content) return bytes(3, utf8(content.fileVersion));
  // SessionLog { status: START }
  if ('sessionStart' in content) return bytes(7, message([varint(1, 1)]));
  const value =
    'scalar' in content
      ? [bytes(1, utf8(content.tag)), float(2, content.scalar)]
      : [bytes(1, utf8(content.tag)), bytes(8, textTensor(content.text)), bytes(9, textMetadata())];
  // Summary { value: [Value] }
  return bytes(5, message([bytes(1, message(value))]));
}

/** TensorProto { dtype: DT_STRING, shape: [1], string_val: [text] } */
function textTensor(text: string): Uint8Array {
  const shape = message([bytes(2, message([varint(1, 1)]))]);
  return message([varint(1, 7), bytes(2, shape), bytes(8, utf8(text))]);
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** SummaryMetadata { plugin_data: { plugin_name: 'text' } }: what shows the value. */
const textMetadata = () => message([bytes(1, message([bytes(1, utf8('text'))]))]);

function message(fields: readonly Field[]): Uint8Array {
  const all = new Uint8Array(fields.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const field of fields) {
    all.set(field, at);
    at += field.length;
  }
  return all;
}

const wire = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

function digits(value: number): number[] {
  const found: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) found.push((rest % 128) + 128);
  return [...found, rest];
}

/** A whole number, 0 or more; 0 is left out, as proto3 does. */
const varint = (field: number, value: number): Field =>
  value === 0 ? [] : [...digits(field * 8 + wire.varint), ...digits(value)];

function bytes(field: number, value: Uint8Array): Uint8Array {
  return message([digits(field * 8 + wire.bytes), digits(value.length), value]);
}

function double(field: number, value: number): Field {
  const encoded = new DataView(new ArrayBuffer(8));
  encoded.setFloat64(0, value, true);
  return message([digits(field * 8 + wire.fixed64), new Uint8Array(encoded.buffer)]);
}

function float(field: number, value: number): Field {
  const encoded = new DataView(new ArrayBuffer(4));
  encoded.setFloat32(0, value, true);
  return message([digits(field * 8 + wire.fixed32), new Uint8Array(encoded.buffer)]);
}
