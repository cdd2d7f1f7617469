import { Generator, planGeneration } from '@lapidary/gemma';
import type { Gpu } from '@lapidary/gpu';
import { compile, gradients, mul, Program, sum, variableFrom } from '@lapidary/tensor';
import {
  bindCompletion,
  hyperInput,
  keptOf,
  optimizerOf,
  planStep,
  planTrained,
  type StepModel,
} from '@lapidary/trainer';
import { gemmaShape } from '../gemma-weights.js';
import type { Op } from '../protocol.js';
import { hashed, sample, tokenIds } from '../values.js';
import { makeGemma } from './gemma-model.js';
import { tuned } from './tuned.js';

/** Records of one row of tokens that see what is before them. */
const causalInfo = (tokens: number) =>
  Int32Array.from({ length: tokens * 4 }, (_, i) => [1, i >> 2, i >> 2, 0][i & 3]!);

/** Whole models, through @lapidary/gemma and @lapidary/trainer. */
export const gemmaOps = (gpu: Gpu): Record<string, Op> => ({
  /** Gradients of every weight of a block (in f32), through embedding and last norm. */
  async gemmaBlock(params) {
    const shape = gemmaShape(params);
    const { model, variables, params: tree } = makeGemma(gpu, shape, { trained: true });
    const { tokens, width, words } = shape;
    const cotangent = variableFrom(gpu, hashed(tokens * width, 77, 1), [1, tokens, width]);
    const block = [...variables].filter(([path]) => path.startsWith('layers.')).map(([, variable]) => variable);
    const run = compile(gpu, ({ inputIds, tokenInfo }) => {
      const { hidden } = model.forward(tree, { inputIds: inputIds!, tokenInfo: tokenInfo! });
      const loss = sum(mul(hidden, cotangent.tensor));
      const grads = gradients(
        loss,
        block.map((variable) => variable.tensor),
      );
      return { outputs: { loss, grads: grads.map((grad) => grad!) } };
    });
    const inputs = {
      inputIds: { data: tokenIds(tokens, words), shape: [1, tokens] },
      tokenInfo: { data: causalInfo(tokens), shape: [1, tokens, 4] },
    };
    return {
      run: async () => {
        await (await run(inputs)).read('loss');
      },
      async result() {
        const out = await run(inputs);
        const parts: number[] = [];
        for (let i = 0; i < block.length; i++) {
          const part = sample(await out.read(`grads.${i}`));
          // Each weight counts as much as any other.
          parts.push(...part.map((value) => value / part.at(-1)!));
        }
        return parts;
      },
      drop() {
        run.destroy();
        for (const variable of [...variables.values(), cotangent]) variable.destroy();
      },
    };
  },

  /** A whole training step: of the low-rank updates of a bf16 model, or of every weight where `rank` is 0. */
  async gemmaStep(params) {
    const shape = gemmaShape(params);
    const rank = params.rank as number;
    const { model, variables, params: tree } = makeGemma(gpu, shape, { trained: rank === 0, rank });
    const { tokens, words } = shape;
    const optimizer = optimizerOf('adamw');
    const settings = { betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0 };
    const trained = planTrained(new Map([...variables].filter(([path]) => rank === 0 || path.includes('.lora.'))), {
      optimizer,
      settings,
    });
    const kept = trained.flatMap(keptOf);
    for (const state of kept) state.allocate(gpu);
    const limits = {
      maxLength: tokens,
      batchSize: 1,
      sampleCount: 0,
      sampleTokens: 0,
      packing: false,
      seed: 0,
      imagePreset: null,
    };
    const task = bindCompletion(model, { settings: { labelSmoothing: 0 }, limits, weightFormat: 'safetensors' });
    const step: StepModel = { model, task, params: tree, trained, optimizer, settings, options: {} };
    const plan = await tuned(
      gpu,
      (profile) => planStep(profile, step, { batch: 1, length: tokens, targets: tokens }),
      ({ calls }) => calls.flatMap(({ product }) => product ?? []),
    );
    const program = await Program.create(gpu, plan);
    const batch = {
      inputIds: tokenIds(tokens, words),
      tokenInfo: causalInfo(tokens),
      rows: Int32Array.from({ length: tokens }, (_, i) => i),
      targets: tokenIds(tokens, words, 1),
      weight: Float32Array.of(1 / tokens),
    };
    const rates = { learningRate: 1e-3, clipNorm: 0 };
    const losses: number[] = [];
    return {
      async run() {
        program.run({ ...batch, hyper: hyperInput(optimizer, settings, { ...rates, step: losses.length + 1 }) });
        losses.push((await program.read('loss'))[0]!);
      },
      result: async () => losses,
      drop() {
        program.destroy();
        for (const variable of [...kept, ...variables.values()]) variable.destroy();
      },
    };
  },

  /** An answer, a token at a time, prompt included. */
  async decode(params) {
    const shape = gemmaShape(params);
    const { prompt, answer } = params as { prompt: number; answer: number };
    const { model, variables, params: tree } = makeGemma(gpu, shape);
    const generator = new Generator(gpu, planGeneration(gpu.profile, tree, model, { maxLength: prompt + answer }));
    let tokens: number[] = [];
    return {
      async run() {
        tokens = [];
        const options = { maxNewTokens: answer, stopTokens: [] };
        for await (const token of generator.generate({ tokens: [...tokenIds(prompt, shape.words)] }, options))
          tokens.push(token);
      },
      result: async () => tokens,
      async drop() {
        await generator.destroy();
        for (const variable of variables.values()) variable.destroy();
      },
    };
  },
});
