import type { StoredTensor } from '../container.js';
import { WeightFileError, WeightNamesError } from '../errors.js';
import type { ByteSource } from '../source/byte-source.js';
import { type GgufFile, openGguf } from './read.js';

/** What llama.cpp calls the parts of a split model: the part's number from 1, and how many there are. */
const partPattern = /-(\d{5})-of-(\d{5})\.gguf$/i;

/** Whether this is the name of one of several parts. */
export function isGgufPart(file: string): boolean {
  const count = partPattern.exec(file)?.[2];
  return count !== undefined && Number(count) > 1;
}

/** The name of the first part of the split model that this is a part of. */
export function firstGgufPart(file: string): string {
  return partName(file, 0, Number(partPattern.exec(file)?.[2]));
}

function partName(file: string, no: number, count: number): string {
  const number = (value: number) => String(value).padStart(5, '0');
  return file.replace(partPattern, `-${number(no + 1)}-of-${number(count)}.gguf`);
}

/**
 * A GGUF by the name of its file, or of any of its parts: then all of them are read. `open` opens a file of the same folder, and throws
 * where there is none. Source of the format: https://github.com/ggml-org/llama.cpp, `tools/gguf-split`.
 * @throws {WeightFileError} {WeightNamesError} for parts that do not belong together, and what `openGguf` and `open` throw
 */
export async function openGgufParts(
  file: string,
  open: (file: string) => Promise<ByteSource>,
  signal?: AbortSignal,
): Promise<GgufFile> {
  const named = await openGguf(await open(file), signal);
  const { count } = splitOf(named, file);
  if (count <= 1) return named;
  if (!partPattern.test(file)) {
    throw new WeightFileError(
      { file },
      `is one of ${count} parts (split.count), but its name does not say where the others are. Name all of them as ${partName('model-00001-of-00001.gguf', 0, count)}, or join them with llama-gguf-split --merge.`,
    );
  }
  const tensors = new Map<string, StoredTensor>();
  let first = named;
  for (let no = 0; no < count; no++) {
    const name = partName(file, no, count);
    const part = name === file ? named : await openGguf(await open(name), signal);
    const split = splitOf(part, name);
    if (split.no !== no || split.count !== count) {
      throw new WeightFileError(
        { file: name },
        `says that it is part ${split.no + 1} of ${split.count} (split.no, split.count), not ${no + 1} of ${count} as its name and ${file} do.`,
      );
    }
    if (no === 0) first = part;
    for (const [tensor, stored] of part.tensors) {
      if (tensors.has(tensor)) {
        throw new WeightNamesError(name, `holds ${tensor}, which an earlier part holds too.`, { unexpected: [tensor] });
      }
      tensors.set(tensor, stored);
    }
  }
  const total = first.metadata['split.tensors.count'];
  if (total !== undefined && total !== tensors.size) {
    throw new WeightFileError(
      { file: partName(file, 0, count) },
      `says that all parts hold ${String(total)} tensors (split.tensors.count), but they hold ${tensors.size}.`,
    );
  }
  return { metadata: first.metadata, tensors };
}

function splitOf({ metadata }: GgufFile, file: string): { no: number; count: number } {
  const read = (key: string, fallback: number) => {
    const value = metadata[key] ?? fallback;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value < 1e5) return value;
    throw new WeightFileError({ file }, `its ${key} is ${String(value).slice(0, 40)}, no number of a part.`);
  };
  return { no: read('split.no', 0), count: read('split.count', 1) };
}
