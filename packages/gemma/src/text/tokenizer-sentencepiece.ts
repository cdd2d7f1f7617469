import { TokenizerError, type Tokenizer } from './tokenizer.js';
import {
  pieceKind,
  type Pieces,
  type TokenizerFiles,
  tokenizerFilesFromPieces,
  tokenizerFromFiles,
} from './tokenizer-pieces.js';

/** Numbers of the fields that are read. Source: https://github.com/google/sentencepiece, `src/sentencepiece_model.proto`. */
const modelField = { piece: 1, trainer: 2, normalizer: 3, denormalizer: 5 } as const;
const pieceField = { text: 1, score: 2, kind: 3 } as const;
const trainerField = { modelType: 3, byteFallback: 35, unk: 40, bos: 41, eos: 42, pad: 43 } as const;
const normalizerField = { charsMap: 2, dummyPrefix: 3, extraWhitespace: 4, escapeWhitespace: 5 } as const;
const modelTypes = ['none', 'unigram', 'BPE', 'word', 'char'];
const bpe = 2;

/**
 * The tokenizer of an official `tokenizer.model`: a SentencePiece BPE model that leaves texts as
 * they are, as all Gemma's are. Other than SentencePiece it finds control pieces such as `<bos>` in texts.
 * @throws TokenizerError
 */
export async function tokenizerFromSentencePiece(bytes: Uint8Array): Promise<Tokenizer> {
  return tokenizerFromFiles(tokenizerFilesFromSentencePiece(bytes));
}

/** The same as files in Hugging Face's form. @throws TokenizerError */
export function tokenizerFilesFromSentencePiece(bytes: Uint8Array): TokenizerFiles {
  return tokenizerFilesFromPieces(piecesFromSentencePiece(bytes));
}

/** Its pieces. @throws TokenizerError */
export function piecesFromSentencePiece(bytes: Uint8Array): Pieces {
  if (!(bytes instanceof Uint8Array)) throw new TokenizerError('a SentencePiece model must be given as a Uint8Array');
  const tokens: string[] = [];
  const scores: number[] = [];
  const kinds: number[] = [];
  // The defaults of the format, for fields that a file leaves out.
  const trainer = { modelType: 1, byteFallback: 0, unk: 0, bos: 1, eos: 2, pad: -1 };
  const normalizer = { charsMap: 0, dummyPrefix: 1, extraWhitespace: 1, escapeWhitespace: 1 };
  const denormalizer = { ...normalizer };
  readFields(bytes, (field, value) => {
    if (field === modelField.piece) {
      const piece = readPiece(messageOf(value), tokens.length);
      tokens.push(piece.text);
      scores.push(piece.score);
      kinds.push(piece.kind);
    } else if (field === modelField.trainer) readInto(trainer, trainerField, messageOf(value));
    else if (field === modelField.normalizer) readInto(normalizer, normalizerField, messageOf(value));
    else if (field === modelField.denormalizer) readInto(denormalizer, normalizerField, messageOf(value));
  });
  if (tokens.length === 0) throw corrupt('it has no pieces');
  if (new Set(tokens).size !== tokens.length) throw corrupt('a piece is there twice');
  if (trainer.modelType !== bpe)
    throw new TokenizerError(
      `the SentencePiece model is of type ${modelTypes[trainer.modelType] ?? trainer.modelType}; only BPE, as Gemma has it, ` +
        'is supported. Is the file of another model?',
    );
  checkNormalizer(normalizer, denormalizer);
  const special = (name: 'unk' | 'bos' | 'eos' | 'pad', kind: number) => {
    const id = trainer[name];
    if (kinds[id] !== kind)
      throw new TokenizerError(
        `the SentencePiece model has no ${name} piece: it is said to be ${id} of ${tokens.length}` +
          `${tokens[id] === undefined ? '' : `, which is ${JSON.stringify(tokens[id])}`}. Is the file of another model?`,
      );
    return id;
  };
  const unk = special('unk', pieceKind.unknown);
  return {
    tokens,
    scores,
    kinds,
    special: {
      unk,
      bos: special('bos', pieceKind.control),
      eos: special('eos', pieceKind.control),
      // A model may do without padding: any token serves, as what is padded is masked.
      pad: trainer.pad < 0 ? unk : special('pad', pieceKind.control),
    },
    byteFallback: trainer.byteFallback !== 0,
  };
}

function checkNormalizer(
  normalizer: Record<keyof typeof normalizerField, number>,
  denormalizer: Record<keyof typeof normalizerField, number>,
): void {
  const found = [
    [normalizer.charsMap > 0 || denormalizer.charsMap > 0, 'rewrites characters (a normalisation such as NFKC)'],
    [normalizer.dummyPrefix !== 0, 'puts a space in front (add_dummy_prefix)'],
    [normalizer.extraWhitespace !== 0, 'removes spaces (remove_extra_whitespaces)'],
    [normalizer.escapeWhitespace === 0, 'leaves spaces as they are (escape_whitespaces off)'],
  ].flatMap(([is, what]) => (is ? [what] : []));
  if (found.length > 0)
    throw new TokenizerError(
      `the SentencePiece model ${found.join(', ')}, which no Gemma does and is not supported. Is the file of another model?`,
    );
}

function corrupt(problem: string): TokenizerError {
  return new TokenizerError(
    `the file is no SentencePiece model (tokenizer.model), or a damaged one: ${problem}. Download it again.`,
  );
}

function readPiece(bytes: Uint8Array, id: number): { text: string; score: number; kind: number } {
  const piece = { text: '', score: 0, kind: pieceKind.normal as number };
  readFields(bytes, (field, value) => {
    if (field === pieceField.text) piece.text = textOf(value, id);
    else if (field === pieceField.score) {
      if (value.wire !== wire.fixed32) throw corrupt(`piece ${id} has no number for its score`);
      piece.score = value.bytes.getFloat32(0, true);
    } else if (field === pieceField.kind) piece.kind = numberOf(value);
  });
  if (piece.text === '') throw corrupt(`piece ${id} is empty`);
  if (!Number.isFinite(piece.score)) throw corrupt(`the score of piece ${id} is ${piece.score}`);
  if (!Object.values<number>(pieceKind).includes(piece.kind))
    throw corrupt(`piece ${id} is of unknown kind ${piece.kind}`);
  return piece;
}

/** Whole numbers and booleans of a message; of bytes their length. */
function readInto<K extends string>(target: Record<K, number>, fields: Record<K, number>, bytes: Uint8Array): void {
  const names = Object.keys(fields) as K[];
  readFields(bytes, (field, value) => {
    const name = names.find((key) => fields[key] === field);
    if (name !== undefined) target[name] = name === 'charsMap' ? messageOf(value).length : numberOf(value);
  });
}

const wire = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/** A field of a protobuf message: `number` if it is a varint, of its low 32 bits; else its bytes. */
type Value = { wire: 0; number: number } | { wire: 1 | 2 | 5; bytes: DataView };

function numberOf(value: Value): number {
  if (value.wire !== wire.varint) throw corrupt('a number was expected, and there are bytes');
  return value.number;
}

function messageOf(value: Value): Uint8Array {
  if (value.wire !== wire.bytes) throw corrupt('bytes were expected, and there is a number');
  return new Uint8Array(value.bytes.buffer, value.bytes.byteOffset, value.bytes.byteLength);
}

// One piece in Gemma's vocabulary is a byte order mark.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function textOf(value: Value, id: number): string {
  try {
    return utf8.decode(messageOf(value));
  } catch (error) {
    if (error instanceof TokenizerError) throw error;
    throw corrupt(`the text of piece ${id} is not UTF-8`);
  }
}

/** The fields of a protobuf message in order. Source: https://protobuf.dev/programming-guides/encoding. */
function readFields(bytes: Uint8Array, each: (field: number, value: Value) => void): void {
  let at = 0;
  const take = (length: number): DataView => {
    if (length > bytes.length - at) throw corrupt('it ends in the middle of a field');
    at += length;
    return new DataView(bytes.buffer, bytes.byteOffset + at - length, length);
  };
  /** As a whole number, exact up to 2^53, and as the low 32 bits with their sign. */
  const varint = (): { whole: number; low: number } => {
    let [whole, low] = [0, 0];
    for (let i = 0; i < 10; i++) {
      const byte = take(1).getUint8(0);
      whole += (byte & 0x7f) * 2 ** (7 * i);
      if (i < 5) low |= (byte & 0x7f) << (7 * i);
      if (byte < 0x80) return { whole, low };
    }
    throw corrupt('a number has more than 10 bytes');
  };
  while (at < bytes.length) {
    const { whole: tag } = varint();
    const [field, kind] = [Math.floor(tag / 8), tag % 8];
    if (field === 0) throw corrupt('a field has the number 0');
    if (kind === wire.varint) each(field, { wire: kind, number: varint().low });
    else if (kind === wire.bytes) each(field, { wire: kind, bytes: take(varint().whole) });
    else if (kind === wire.fixed32) each(field, { wire: kind, bytes: take(4) });
    else if (kind === wire.fixed64) each(field, { wire: kind, bytes: take(8) });
    else throw corrupt(`a field is of unknown type ${kind}`);
  }
}
