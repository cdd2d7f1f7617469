import type {
  DataInspection,
  Evaluation,
  ResolvedTrainConfig,
  TrainingProfile,
  TrainingSummary,
  TrainingTuning,
} from '@lapidary/trainer';
import type { Engine, EvaluationRequest, GenerateRequest } from '../engine.js';
import { UsageError } from '../usage-error.js';

/** Stands in for the engine in tests of the command line: it records what it was asked, and answers with fixed data. */
export function createStandInEngine(overrides: Partial<Engine> = {}): {
  engine: Engine;
  configs: ResolvedTrainConfig[];
  requests: GenerateRequest[];
  evaluations: EvaluationRequest[];
} {
  const configs: ResolvedTrainConfig[] = [];
  const requests: GenerateRequest[] = [];
  const evaluations: EvaluationRequest[] = [];
  const engine: Engine = {
    openModel: async (model) => ({
      open: () => Promise.reject(new Error('the stand-in opens nothing')),
      description: { model },
    }),
    openData: async (source) => source,
    openAdapter: (adapter) => ({
      open: () => Promise.reject(new Error('the stand-in opens nothing')),
      description: adapter,
    }),
    runTraining: async (config) => {
      configs.push(config);
      return { name: config.name, steps: 3 } as TrainingSummary;
    },
    planTraining: async (config) => {
      configs.push(config);
      const memory = [
        { category: 'Weights', bytes: 512 * 2 ** 20 },
        { category: 'Activations', bytes: 2 ** 30 },
      ];
      return {
        parameters: 268_098_176,
        trainableParameters: 1_000_000,
        totalSteps: 12,
        tokensPerStep: 2048,
        memory,
        onHost: null,
        budgetNotices: [],
        notices: ['config.json says sinks, which is not known.'],
        fit: {
          fits: false,
          refused: true,
          reason: 'the largest buffer takes 1.00 GiB, and the device allows 256 MiB for one',
          advice: ['shorter rows (`maxLength`)'],
        },
      };
    },
    embed: async ({ texts }) => {
      const all = 'data' in texts ? [`${texts.data} ${texts.key}`] : texts;
      return { texts: all, vectors: all.map(() => Float32Array.of(0.6, 0.8)), cut: 1, maxLength: 2048 };
    },
    planRelease: async (_name, config) => ({ ...(await engine.planTraining(config)), totalSteps: null }),
    inspectData: async (config) => {
      configs.push(config);
      return standInInspection;
    },
    profileTraining: async (config, { logger } = {}) => {
      configs.push(config);
      for (const done of [0, 1]) await logger?.onPhase?.({ name: 'Profiling', done, total: 2 });
      await logger?.onNotice?.('2 rows were cut.');
      return standInProfile;
    },
    tuneTraining: async (config, { logger } = {}) => {
      configs.push(config);
      for (const done of [0, 1]) await logger?.onPhase?.({ name: 'Choosing kernels', done, total: 2 });
      return standInTuning;
    },
    findLearningRate: async (config, { from = 1, to = 1, steps = 0, logger } = {}) => {
      configs.push(config);
      for (const done of [0, 1]) await logger?.onPhase?.({ name: 'Trying rates', done, total: 2 });
      const points = Array.from({ length: steps }, (_, i) => ({
        rate: from * (to / from) ** (i / (steps - 1)),
        loss: 3 - i / steps,
        smoothed: 3 - i / steps,
      }));
      return {
        model: 'gemma',
        adapter: { vendor: 'mesa', architecture: 'software', backend: 'vulkan', device: 'llvmpipe' },
        optimizer: config.optimizer.type,
        diverged: false,
        points,
        suggested: points[10]!.rate,
      };
    },
    export: async ({ step }) => ({
      step: step === 'best' ? 8 : (step ?? 12),
      files: ['adapter_config.json', 'adapter_model.safetensors'],
      notices: ['A checkpoint was passed over.'],
    }),
    findExported: async (folder) => ({
      folder,
      files: ['adapter_model.safetensors'],
      run: folder,
      step: 12,
      base: null,
    }),
    openHubTarget: async ({ repository }) => ({
      url: `https://hub/${repository}`,
      push: async (_, { onProgress }) => {
        onProgress({ file: 'adapter_model.safetensors', share: 0.5, state: 'uploading' });
        return { repository, url: `https://hub/${repository}`, commit: 'c0ffee' };
      },
    }),
    inspectModel: async (source) => ({
      source,
      format: 'gguf',
      family: 'gemma3',
      parameters: 10,
      bytes: 36,
      notices: [],
      problem: null,
      config: { hiddenSize: 640 },
      tensors: [
        { name: 'token_embd.weight', dtype: 'q8_0', shape: [2, 3], bytes: 24 },
        { name: 'norm.weight', dtype: 'f32', shape: [3], bytes: 12 },
      ],
    }),
    readPrompts: async () => ['One?', 'Two?'].map((prompt) => ({ prompt, images: [] })),
    generate: async (request, { onText, onAnswer }) => {
      requests.push(request);
      const { prompts, samples, seed } = request;
      return prompts.flatMap((_, index) =>
        Array.from({ length: samples }, (__, sample) => {
          for (const text of ['Am', 'ber.']) onText(text, index * samples + sample);
          const end = { promptTokens: 5, tokens: 2, seconds: 0.5, stoppedBy: 'stop' as const };
          const answer = { index, sample, seed: seed + sample, text: 'Amber.', ...end };
          onAnswer(answer);
          return answer;
        }),
      );
    },
    openChat: async ({ adapters }) => ({
      adapters: Object.keys(adapters),
      remembers: true,
      seesPictures: true,
      readImage: async (path) => {
        if (path !== 'stone.png') throw new UsageError({ message: `${path} cannot be read`, hint: 'an image' });
        return Uint8Array.of(7);
      },
      // Says who answers, how much was said, and which pictures there are.
      async *answer(messages, { adapter, images }) {
        yield `${adapter ?? 'base'} `;
        yield `${messages.length}: ${String(messages.at(-1)!.content)}${images.length > 0 ? ' (seen)' : ''}`;
        return { promptTokens: 5, tokens: 2, stoppedBy: 'stop' };
      },
      close: async () => undefined,
    }),
    diagnose: async () => [
      { name: 'Node', state: 'fine', found: '22.1.0', advice: null },
      { name: 'Device', state: 'slow', found: 'llvmpipe', advice: 'Install a driver.' },
    ],
    measureDevice: async (models) => ({
      device: 'llvmpipe',
      isSoftware: true,
      speed: {
        ceiling: {
          flopsPerSecond: 92.64e9,
          copies: [
            { bytes: 1e6, bytesPerSecond: 3e9 },
            { bytes: 1e8, bytesPerSecond: 2e9 },
          ],
        },
        products: [
          { rows: 128, dtype: 'bf16', precision: 'float32', flopsPerSecond: 30e9, bytesPerSecond: 1e9 },
          { rows: 1, dtype: 'bf16', precision: 'float32', flopsPerSecond: 12e9, bytesPerSecond: 12.5e9 },
        ],
        dispatchSeconds: 28e-6,
        runSeconds: 86e-6,
      },
      estimates: models.map((model) => ({
        model,
        training: { tokens: 512, secondsPerStep: 2, tokensPerSecond: 256 },
        answering: { context: 512, tokensPerSecond: 15.92 },
      })),
      without: [],
    }),
    openAnswerer: async () => Promise.reject(new Error('the stand-in serves nothing')),
    evaluateModel: async (request, { onProgress, onNotice }) => {
      evaluations.push(request);
      onNotice('config.json says sinks, which is not known.');
      for (const done of [1, 2]) onProgress({ name: 'Scoring rows (base)', done, total: 2 });
      return standInEvaluation;
    },
    ...overrides,
  };
  return { engine, configs, requests, evaluations };
}

/** An answer that the base misses and the adapter has. */
const standInEvaluation: Evaluation = {
  model: 'gemma',
  data: 'rows.jsonl',
  variants: [['base', 2, 0] as const, ['tuned', 1, 1] as const].map(([name, loss, right]) => ({
    name,
    perplexity: { value: Math.exp(loss), loss, tokens: 8, rows: 2 },
    exactMatch: { right, rows: 2 },
    callMatch: null,
    choiceAccuracy: null,
    choiceAccuracyByLength: null,
    seconds: 1.5,
  })),
  answers: [
    {
      line: 1,
      prompt: 'The stone is',
      expected: ' grey',
      answers: [
        { text: ' loud', matches: false },
        { text: ' grey', matches: true },
      ],
    },
  ],
  choices: [],
  notices: ['1 row was cut.'],
};

/** One row of six tokens, of which two are learned and one is cut. */
const standInInspection: DataInspection = {
  source: 'rows.jsonl',
  maxLength: 5,
  tooLong: 'truncate',
  lossOn: 'completion',
  train: {
    rows: 1234,
    forms: { 'prompt, completion': 1234 },
    lengths: { min: 3, median: 4.5, p95: 5, max: 6 },
    tokens: 6000,
    learned: 1500,
    tooLong: 1,
    cut: 1,
    nothingToLearn: 0,
    duplicates: 2,
  },
  held: null,
  heldInTrain: 0,
  rows: [
    {
      file: 'rows.jsonl',
      line: 1,
      form: 'prompt, completion',
      pictures: [],
      patches: 0,
      length: 6,
      learned: 3,
      pieces: [
        { tokens: [2], text: '<bos>', learned: false, cut: false },
        { tokens: [7], text: 'Hi\n', learned: false, cut: false },
        { tokens: [8], text: '\u001b[31m<b>', learned: true, cut: false },
        { tokens: [250, 251], text: '水', learned: true, cut: false },
        { tokens: [1], text: '<eos>', learned: true, cut: true },
      ],
    },
  ],
  notices: ['rows.jsonl: name one with `data.split`.'],
};

/** Two products of 1 GFLOP and 0.1 GB each in 80 ms, a sum of 0.2 GB in 20 ms, on an adapter of 100 GFLOP/s and 10 GB/s. */
const standInProfile: TrainingProfile = {
  model: 'gemma',
  adapter: { vendor: 'mesa', architecture: 'software', backend: 'vulkan', device: 'llvmpipe' },
  clock: 'gpu',
  runs: 3,
  batches: [{ rows: 4, length: 64, pictures: 0, tokens: 200 }],
  ceiling: { flopsPerSecond: 100e9, copies: [{ bytes: 2 ** 27, bytesPerSecond: 10e9 }] },
  stepMs: 90,
  profiledStepMs: 110,
  nanoseconds: 100e6,
  ofCeiling: 0.4,
  kernels: [
    {
      op: 'matmul',
      kernel: 'matmul/matmul',
      variant: 'vec 8x8',
      calls: 2,
      nanoseconds: 80e6,
      share: 0.8,
      flops: 2e9,
      bytes: 0.2e9,
      ofCeiling: 0.25,
    },
    {
      op: 'fused add',
      kernel: 'elementwise/fused',
      variant: 'vec4',
      calls: 1,
      nanoseconds: 20e6,
      share: 0.2,
      flops: 0,
      bytes: 0.2e9,
      ofCeiling: 1,
    },
  ],
  dispatches: [
    ...[40e6, 40e6].map((nanoseconds) => ({
      op: 'matmul',
      kernel: 'matmul/matmul',
      variant: 'vec 8x8',
      types: 'f32[2, 2], bf16[2, 2] → f32[2, 2]',
      nanoseconds,
      flops: 1e9,
      bytes: 0.1e9,
    })),
    {
      op: 'fused add',
      kernel: 'elementwise/fused',
      variant: 'vec4',
      types: 'f32[2] → f32[2]',
      nanoseconds: 20e6,
      flops: 0,
      bytes: 0.2e9,
    },
  ],
};

/** One product measured, and one kept. */
const standInTuning: TrainingTuning = {
  model: 'gemma',
  adapter: { vendor: 'nvidia', architecture: 'ada', backend: 'vulkan', device: 'gpu' },
  device: 'vulkan; nvidia',
  choices: [],
  keptIn: '/cache/kernels',
  products: [
    {
      key: '512x2048x640 nt bf16',
      product: { m: 512, n: 2048, k: 640, batch: 1, transposeA: false, transposeB: true, dtype: 'bf16' },
      chosen: 'workgroup64',
      byRule: 'workgroup128',
      from: 'measured',
      candidates: [
        { variant: 'workgroup128', nanoseconds: 200_000 },
        { variant: 'workgroup64', nanoseconds: 150_000 },
      ],
    },
    {
      key: '8x640x2048 tn f32',
      product: { m: 8, n: 640, k: 2048, batch: 1, transposeA: true, transposeB: false, dtype: 'f32' },
      chosen: 'sliced',
      byRule: 'sliced',
      from: 'kept',
      candidates: [
        { variant: 'sliced', nanoseconds: 20_000 },
        { variant: 'workgroup64', nanoseconds: null },
      ],
    },
  ],
};
