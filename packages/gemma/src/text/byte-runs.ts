import { byteTokens } from './byte-tokens.js';

/** Decodes token ids that are no bytes. */
type DecodeIds = (ids: number[]) => string;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * A decoder of ids in which runs of byte tokens (`<0xE6>`) become text as Hugging Face's tokenizers has it: a run that is UTF-8 as a
 * whole is that text, of any other each byte is U+FFFD. (The JavaScript library drops U+FEFF, and decodes what is valid of a run.)
 * undefined for a tokenizer.json without byte tokens, or one whose decoder does more than join tokens.
 */
export function byteRunDecoder(
  tokenizerJson: object,
): ((ids: readonly number[], decode: DecodeIds) => string) | undefined {
  const { model, decoder } = tokenizerJson as { model?: ModelJson; decoder?: DecoderJson };
  const steps = decoder?.type === 'Sequence' ? (decoder.decoders ?? []) : decoder ? [decoder] : [];
  const types = steps.map(({ type }) => type);
  if (!types.includes('ByteFallback') || types.some((type) => !['Replace', 'ByteFallback', 'Fuse'].includes(type)))
    return undefined;
  const byteOf = new Map<number, number>();
  byteTokens.forEach((token, byte) => {
    const id = model?.vocab?.[token];
    if (typeof id === 'number') byteOf.set(id, byte);
  });
  return (ids, decode) => {
    let text = '';
    let bytes: number[] = [];
    let others: number[] = [];
    const flush = () => {
      if (bytes.length > 0) text += textOf(bytes);
      if (others.length > 0) text += decode(others);
      [bytes, others] = [[], []];
    };
    for (const id of ids) {
      const byte = byteOf.get(id);
      if ((byte === undefined ? bytes : others).length > 0) flush();
      if (byte === undefined) others.push(id);
      else bytes.push(byte);
    }
    flush();
    return text;
  };
}

interface ModelJson {
  readonly vocab?: Readonly<Record<string, unknown>>;
}
interface DecoderJson {
  readonly type: string;
  readonly decoders?: readonly DecoderJson[];
}

function textOf(bytes: readonly number[]): string {
  try {
    return utf8.decode(Uint8Array.from(bytes));
  } catch {
    return '\ufffd'.repeat(bytes.length);
  }
}
