import type { ResolvedTrainConfig, TrainingSummary } from '@lapidary/trainer';
import type { Engine, GenerateRequest } from '../engine.js';

/** Stands in for the engine in tests of the command line: it records what it was asked, and answers with fixed data. */
export function createStandInEngine(overrides: Partial<Engine> = {}): {
  engine: Engine;
  configs: ResolvedTrainConfig[];
  requests: GenerateRequest[];
} {
  const configs: ResolvedTrainConfig[] = [];
  const requests: GenerateRequest[] = [];
  const engine: Engine = {
    openModel: async (model) => ({ open: () => undefined, description: { model } }),
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
        fit: {
          fits: false,
          refused: true,
          reason: 'the largest buffer takes 1.00 GiB, and the adapter allows 256 MiB for one',
          advice: ['shorter rows (`maxLength`)'],
        },
      };
    },
    planRelease: async (_name, config) => ({ ...(await engine.planTraining(config)), totalSteps: null }),
    inspectModel: async (source) => ({
      source,
      format: 'gguf',
      family: 'gemma3',
      parameters: 10,
      bytes: 36,
      config: { hiddenSize: 640 },
      tensors: [
        { name: 'token_embd.weight', dtype: 'q8_0', shape: [2, 3], bytes: 24 },
        { name: 'norm.weight', dtype: 'f32', shape: [3], bytes: 12 },
      ],
    }),
    generate: async (request, { onText }) => {
      requests.push(request);
      for (const text of ['Am', 'ber.']) onText(text);
      return { text: 'Amber.', promptTokens: 5, tokens: 2, seconds: 0.5, stoppedBy: 'stop' };
    },
    ...overrides,
  };
  return { engine, configs, requests };
}
