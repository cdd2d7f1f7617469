import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Gpu } from '@lapidary/gpu';
import { createDeviceSink } from '@lapidary/trainer';
import { gemmaWeightLoader } from '@lapidary/weights';
import { writeHfModel } from '@lapidary/weights/node';
import { gemmaShape, gemmaWeights } from '../gemma-weights.js';
import type { Op } from '../protocol.js';
import { sample, toBf16 } from '../values.js';
import { makeGemma } from './gemma-model.js';

/** Weights from files, through @lapidary/weights. */
export const weightOps = (gpu: Gpu): Record<string, Op> => ({
  /** Everything in a folder as Hugging Face has it, into memory of the device that is there already; the file is in the page cache. */
  async weightLoading(params) {
    const shape = gemmaShape(params);
    const { config, variables } = makeGemma(gpu, shape);
    // Where PyTorch looks for it too.
    const folder = join(tmpdir(), `lapidary-bench-${shape.layers}-${shape.words}`);
    if (!existsSync(join(folder, 'config.json'))) {
      const tensors = gemmaWeights(shape).map(({ path, shape: size, values }) => {
        const bytes = () => [new Uint8Array(toBf16(values()).buffer)];
        return [path, { shape: size, dtype: 'bf16' as const, bytes }] as const;
      });
      await writeHfModel(folder, config, new Map(tensors));
    }
    return {
      async run() {
        const weights = await gemmaWeightLoader({ from: folder }).open();
        await weights.load(weights.entries, createDeviceSink(gpu, variables));
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
