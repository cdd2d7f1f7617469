import type { EvalRecord, RunStart, SampleRecord, StepRecord, TrainingSummary } from '../run-records.js';

/** A made-up run, only for tests of what shows runs: curves that look like curves, no model behind them. */
export function exampleRun(totalSteps = 200): {
  start: RunStart;
  steps: StepRecord[];
  evals: EvalRecord[];
  samples: SampleRecord[];
  notices: string[];
  summary: TrainingSummary;
} {
  const MiB = 1 << 20;
  const adapter = {
    vendor: 'mesa',
    architecture: 'llvmpipe',
    backend: 'vulkan',
    device: 'llvmpipe (LLVM 19.1.7, 256 bits)',
  };
  const curve = (step: number) => 1.1 + 2.2 * Math.exp(-step / (totalSteps / 4));
  const evals = Array.from({ length: 11 }, (_, index) => index * Math.round(totalSteps / 10)).map((step) => ({
    step,
    loss: curve(step) + 0.12,
    rows: 24,
    seconds: 1.3,
  }));
  const steps = Array.from({ length: totalSteps }, (_, index) => {
    const step = index + 1;
    return {
      step,
      epoch: step / 65,
      loss: curve(step) + 0.18 * Math.sin(step * 12.9898) * Math.cos(step * 4.1),
      evalLoss: evals.find((evaluation) => evaluation.step === step)?.loss ?? null,
      learningRate:
        2e-4 * (step < 10 ? step / 10 : 0.55 + 0.45 * Math.cos((Math.PI * (step - 10)) / (totalSteps - 10))),
      gradNorm: 0.6 + 1.8 * Math.exp(-step / 30) + 0.15 * Math.sin(step * 7.7),
      tokensPerSecond: 1450 + 60 * Math.sin(step),
      stepMs: 350,
      peakBytes: 212 * MiB,
    };
  });
  const samples = [
    [
      'row-1',
      'What colour is amber?',
      'What colour is the the the of a the',
      'Amber ranges from pale yellow to a deep honey brown.',
      'Amber is yellow to honey brown.',
    ],
    [
      'row-2',
      'How hard is <quartz> & "topaz"?',
      'the hard of hard',
      'Quartz is 7 and topaz is 8 on the Mohs scale.',
      'Quartz is 7, topaz 8.',
    ],
    ['row-3', 'Name a gem that is organic.', 'Name name a gem gem\n\n\n', 'Pearl.', 'Pearl'],
  ].flatMap(([id, prompt, before, after, expected]) => [
    { step: 0, id: id!, prompt: prompt!, answer: before!, expected: expected! },
    { step: totalSteps, id: id!, prompt: prompt!, answer: after!, expected: expected! },
  ]);
  const start: RunStart = {
    config: {
      name: 'gems',
      weightLoader: { kind: 'safetensors', path: 'models/gemma3-mini' },
      data: { source: 'gems.jsonl', format: 'completion', lossOn: 'completion', tooLong: 'error' },
      batchSize: 4,
      gradientAccumulation: 1,
      maxLength: 128,
      steps: totalSteps,
      seed: 42,
      optimizer: {
        type: 'adamw',
        learningRate: 2e-4,
        betas: [0.9, 0.95],
        eps: 1e-8,
        weightDecay: 1e-10,
        clipGradNorm: 1,
      },
      schedule: { type: 'cosine', warmupSteps: 10 },
      lora: {
        rank: 8,
        alpha: 16,
        rslora: false,
        dropout: 0,
        targets: ['qProj', 'kProj', 'vProj', 'oProj', 'gateProj', 'upProj', 'downProj'],
        layers: null,
      },
      outDir: 'out/gems',
    },
    totalSteps,
    startStep: 0,
    baseEvalLoss: null,
    trainRows: 260,
    evalRows: 24,
    adapter,
    memory: [
      { category: 'Frozen weights', bytes: 8 * MiB },
      { category: 'Adapter weights', bytes: 1.5 * MiB },
      { category: 'Optimizer state', bytes: 3 * MiB },
      { category: 'Activations', bytes: 140 * MiB },
      { category: 'Workspace', bytes: 59.5 * MiB },
    ],
    load: {
      source: 'models/gemma3-mini',
      format: 'safetensors (BF16)',
      parameters: 4_012_345,
      trainableParameters: 393_216,
      loaded: 74,
      converted: 0,
      initialised: [],
      unused: [],
    },
    machine: { Processor: '2 × AMD EPYC', Memory: '24 GiB', Runtime: 'Node 20.20.0 on linux x64' },
    startedAt: '2026-01-02T03:04:05.000Z',
  };
  const summary: TrainingSummary = {
    name: 'gems',
    steps: totalSteps,
    baseEvalLoss: evals[0]!.loss,
    finalEvalLoss: evals.at(-1)!.loss,
    best: { step: totalSteps, loss: evals.at(-1)!.loss },
    finalLoss: steps.at(-1)!.loss,
    peakBytesPlanned: 212 * MiB,
    peakBytesAllocated: 212 * MiB,
    adapter,
    secondsToFirstStep: 6.2,
    seconds: 94.4,
    tokens: 101_000,
    startedAt: start.startedAt,
    exported: ['adapter_config.json', 'adapter_model.safetensors'],
    exportedStep: totalSteps,
    outDir: 'out/gems',
  };
  return { start, steps, evals, samples, notices: ['2 rows without an answer were left out.'], summary };
}
