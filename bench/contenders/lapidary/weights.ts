import { rm } from 'node:fs/promises';
import type { Gpu } from '@lapidary/gpu';
import { createDeviceSink, fingerprintWeights, finiteSink } from '@lapidary/trainer';
import { gemmaWeightLoader } from '@lapidary/weights';
import { gemmaShape } from '../gemma-weights.js';
import type { Op } from '../protocol.js';
import { sample } from '../values.js';
import { makeGemma } from './gemma-model.js';
import { modelFolder } from './model-folder.js';

/** Weights from files, through @lapidary/weights. */
export const weightOps = (gpu: Gpu): Record<string, Op> => ({
  /** Everything in a folder as Hugging Face has it, into memory of the device that is there already; the file is in the page cache. */
  async weightLoading(params) {
    const shape = gemmaShape(params);
    const { variables } = makeGemma(gpu, shape);
    const folder = await modelFolder(shape);
    return {
      async run() {
        const weights = await gemmaWeightLoader({ from: folder }).open();
        const { entries } = weights;
        const dtypeOf = (path: string) => entries.get(path)!.dtype;
        // With all that a run looks at on the way: what is not finite, and the hash that the base is known by.
        await weights.load(entries, fingerprintWeights(finiteSink(entries, dtypeOf, createDeviceSink(gpu, variables))));
        await gpu.idle();
        await weights.close();
      },
      async result() {
        const values: number[] = [];
        for (const path of ['embedTokens.weight', 'finalNorm.weight']) {
          const halves = new Uint16Array((await variables.get(path)!.readBytes()).buffer);
          values.push(...sample(new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer)));
        }
        return values;
      },
      async drop() {
        for (const variable of variables.values()) variable.destroy();
        await rm(folder, { recursive: true, force: true });
      },
    };
  },
});
