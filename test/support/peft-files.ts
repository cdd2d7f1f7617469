import type { PeftFiles } from '@lapidary/weights';

/** An adapter's files as bytes by name. */
export async function peftFileBytes(files: PeftFiles): Promise<Record<keyof PeftFiles, Uint8Array<ArrayBuffer>>> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  for await (const piece of files['adapter_model.safetensors']) pieces.push(piece as Uint8Array<ArrayBuffer>);
  return {
    'adapter_config.json': files['adapter_config.json'].slice(),
    'adapter_model.safetensors': new Uint8Array(await new Blob(pieces).arrayBuffer()),
  };
}
