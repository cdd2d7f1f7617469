import { openGpu } from '@lapidary/gpu';
import { bufferSource, gemmaWeightLoader } from '@lapidary/weights';
import { TextModel } from 'lapidary';

export type Files = Readonly<Record<string, Uint8Array>>;

const sourcesOf = (files: Files) => Object.entries(files).map(([name, bytes]) => bufferSource(name, bytes));

/** The logits after a prompt, f32 [V], of a model with an adapter: the same code in Node and in a page. */
export async function adapterLogits(model: Files, adapter: Files, prompt: string): Promise<Float32Array> {
  const gpu = await openGpu();
  try {
    const loader = gemmaWeightLoader({ from: sourcesOf(model) });
    const opened = await TextModel.open(loader, { gpu, adapter: sourcesOf(adapter) });
    return await opened.nextLogits(prompt);
  } finally {
    gpu.destroy();
  }
}
