/** One option of `finetune`, `plan`, `profile` and `tune`, and the field of TrainConfig that it sets. */
export interface TrainFlag {
  /** `--rank`. */
  readonly name: string;
  /** What tutorials call it: `--lr`. */
  readonly alias?: string;
  /** What stands behind it; none for switches. */
  readonly value?: string;
  readonly path: string;
  readonly kind: 'text' | 'number' | 'bytes' | 'names' | 'numbers' | 'pairs' | 'switch';
  /** What a switch sets. Default true. */
  readonly sets?: string;
  readonly help: string;
  readonly group: string;
}

const group = (title: string, flags: readonly Omit<TrainFlag, 'group'>[]): TrainFlag[] =>
  flags.map((flag) => ({ ...flag, group: `${title}:` }));

/** Defaults stand in TrainConfig and are only told here. */
export const trainFlags: readonly TrainFlag[] = [
  ...group('Data', [
    {
      name: '--data',
      value: '<file>',
      path: 'data.source',
      kind: 'text',
      help: 'JSONL file with {prompt, completion}, {image, prompt, completion}, {messages} or {text} in each line',
    },
    {
      name: '--format',
      value: '<format>',
      path: 'data.format',
      kind: 'text',
      help: 'auto, completion, messages or text (default: auto)',
    },
    {
      name: '--loss-on',
      value: '<part>',
      path: 'data.lossOn',
      kind: 'text',
      help: 'completion or all (default: completion)',
    },
    {
      name: '--too-long',
      value: '<what>',
      path: 'data.tooLong',
      kind: 'text',
      help: 'rows longer than --max-length: error, truncate or skip (default: error)',
    },
    {
      name: '--eval-data',
      value: '<file>',
      path: 'evalData.source',
      kind: 'text',
      help: 'rows to evaluate on, instead of a part of the data',
    },
    {
      name: '--eval-fraction',
      value: '<x>',
      path: 'evalFraction',
      kind: 'number',
      help: 'part of the data that is held out (default: 0.1)',
    },
    { name: '--max-length', value: '<tokens>', path: 'maxLength', kind: 'number', help: 'longest row (default: 512)' },
    {
      name: '--packing',
      path: 'packing',
      kind: 'switch',
      help: 'put several rows into a sequence of --max-length, apart from each other: less padding',
    },
  ]),
  ...group('Length of the run', [
    { name: '--steps', value: '<n>', path: 'steps', kind: 'number', help: 'optimizer steps' },
    { name: '--epochs', value: '<n>', path: 'epochs', kind: 'number', help: 'passes over the data (default: 1)' },
    {
      name: '--batch-size',
      value: '<rows>',
      path: 'batchSize',
      kind: 'number',
      help: 'rows in a micro-batch (default: 4)',
    },
    {
      name: '--accumulate',
      value: '<n>',
      path: 'gradientAccumulation',
      kind: 'number',
      help: 'micro-batches in an optimizer step (default: 1)',
    },
    {
      name: '--seed',
      value: '<n>',
      path: 'seed',
      kind: 'number',
      help: 'for shuffling, the eval split and new weights (default: 42)',
    },
  ]),
  ...group('Optimizer', [
    {
      name: '--optimizer',
      value: '<type>',
      path: 'optimizer.type',
      kind: 'text',
      help: 'adamw, sgd, lion or adafactor (default: adamw)',
    },
    {
      name: '--learning-rate',
      alias: '--lr',
      value: '<x>',
      path: 'optimizer.learningRate',
      kind: 'number',
      help: 'at its peak (default: as suits the optimizer; of adamw 2e-4 with LoRA, 2.5e-5 with --full)',
    },
    {
      name: '--schedule',
      value: '<type>',
      path: 'schedule.type',
      kind: 'text',
      help: 'cosine, linear, constant or rsqrt (default: cosine)',
    },
    {
      name: '--warmup-steps',
      value: '<n>',
      path: 'schedule.warmupSteps',
      kind: 'number',
      help: 'default: a thirtieth of the run, at most 1000',
    },
    {
      name: '--warmup-rule',
      value: '<rule>',
      path: 'schedule.warmupRule',
      kind: 'text',
      help: 'openpi, zero or ramp (default: openpi)',
    },
    {
      name: '--decay-steps',
      value: '<n>',
      path: 'schedule.decaySteps',
      kind: 'number',
      help: 'when the end is reached, warm-up included (default: the whole run)',
    },
    {
      name: '--end-learning-rate',
      value: '<x>',
      path: 'schedule.endLearningRate',
      kind: 'number',
      help: 'default: a tenth of the peak',
    },
    {
      name: '--weight-decay',
      value: '<x>',
      path: 'optimizer.weightDecay',
      kind: 'number',
      help: 'default: as suits the optimizer; of adamw 1e-10',
    },
    {
      name: '--clip',
      value: '<norm>',
      path: 'optimizer.clipGradNorm',
      kind: 'number',
      help: 'largest gradient norm (default: 1)',
    },
    {
      name: '--momentum',
      value: '<x>',
      path: 'optimizer.momentum',
      kind: 'number',
      help: 'of sgd (default: 0.9)',
    },
    {
      name: '--ema-decay',
      value: '<x>',
      path: 'emaDecay',
      kind: 'number',
      help: 'such as 0.999: evaluate and export an average of what is trained, of which each step keeps this much',
    },
  ]),
  ...group('Objective', [
    {
      name: '--objective',
      value: '<type>',
      path: 'objective.type',
      kind: 'text',
      help: 'completion, or dpo: learns from {prompt, chosen, rejected} which of two answers is preferred (default: completion)',
    },
    {
      name: '--label-smoothing',
      value: '<x>',
      path: 'objective.labelSmoothing',
      kind: 'number',
      help: "share of each target's probability that is spread over all words; of dpo the chance that a pair is the wrong way round (default: 0)",
    },
    {
      name: '--beta',
      value: '<x>',
      path: 'objective.beta',
      kind: 'number',
      help: 'of dpo: the larger, the closer the model stays to what it was (default: 0.1)',
    },
    {
      name: '--loss-type',
      value: '<type>',
      path: 'objective.lossType',
      kind: 'text',
      help: 'of dpo: sigmoid, ipo or hinge (default: sigmoid)',
    },
  ]),
  ...group('What is trained', [
    { name: '--rank', value: '<n>', path: 'lora.rank', kind: 'number', help: 'of the LoRA (default: 8)' },
    {
      name: '--alpha',
      value: '<x>',
      path: 'lora.alpha',
      kind: 'number',
      help: 'scale of the LoRA is alpha/rank (default: 16)',
    },
    { name: '--rslora', path: 'lora.rslora', kind: 'switch', help: 'scale is alpha/√rank' },
    {
      name: '--rank-pattern',
      value: '<pairs>',
      path: 'lora.rankPattern',
      kind: 'pairs',
      help: "ranks of some linears, such as 'qProj=4,layers.0.mlp.*=16'",
    },
    {
      name: '--alpha-pattern',
      value: '<pairs>',
      path: 'lora.alphaPattern',
      kind: 'pairs',
      help: 'alphas of some linears, in the same way',
    },
    {
      name: '--dora',
      path: 'lora.dora',
      kind: 'switch',
      help: 'learn the length of each row of the weights apart (DoRA): slower',
    },
    {
      name: '--modules-to-save',
      value: '<patterns>',
      path: 'lora.modulesToSave',
      kind: 'names',
      help: "modules trained whole beside the LoRA, such as 'embedTokens,**Norm'",
    },
    {
      name: '--dropout',
      value: '<p>',
      path: 'lora.dropout',
      kind: 'number',
      help: 'on the input of the LoRA (default: 0)',
    },
    {
      name: '--targets',
      value: '<names>',
      path: 'lora.targets',
      kind: 'names',
      help: 'linears, such as qProj,vProj or q_proj,v_proj (default: all)',
    },
    {
      name: '--towers',
      value: '<names>',
      path: 'lora.towers',
      kind: 'names',
      help: 'parts that are adapted: language, vision, projector (default: language)',
    },
    {
      name: '--layers',
      value: '<numbers>',
      path: 'lora.layers',
      kind: 'numbers',
      help: 'layers, such as 20,21,22 (default: all)',
    },
    { name: '--full', path: 'lora', kind: 'switch', help: 'train the parameters themselves, without LoRA' },
    {
      name: '--freeze',
      value: '<patterns>',
      path: 'freeze',
      kind: 'names',
      help: "paths that stay as they are, such as 'embedTokens.*,layers.*.attn.**'",
    },
    {
      name: '--trainable',
      value: '<patterns>',
      path: 'trainable',
      kind: 'names',
      help: 'paths of the parameters that are trained, with --full (default: all)',
    },
  ]),
  ...group('Pictures', [
    {
      name: '--image-preset',
      value: '<name>',
      path: 'imagePreset',
      kind: 'text',
      help: 'big-vision or hugging-face (default: as the weights were published)',
    },
    {
      name: '--allow-missing',
      value: '<patterns>',
      path: 'allowMissing',
      kind: 'names',
      help: "parameters that the weights may lack and that begin anew, such as 'vision.**'",
    },
  ]),
  ...group('Memory', [
    {
      name: '--gradient-checkpointing',
      path: 'gradientCheckpointing',
      kind: 'switch',
      help: 'much less memory, but slower',
    },
    {
      name: '--memory-budget',
      value: '<size>',
      path: 'memoryBudget',
      kind: 'bytes',
      help: 'such as 6GiB: activations of as few blocks as possible are computed again, to stay within it',
    },
  ]),
  ...group('Speed', [
    {
      name: '--kernel-tuning',
      value: '<when>',
      path: 'kernelTuning',
      kind: 'text',
      help: 'measure which kernels are fastest, once a device: auto (on GPUs), always or never (default: auto)',
    },
    {
      name: '--matmul-precision',
      value: '<type>',
      path: 'matmulPrecision',
      kind: 'text',
      help: 'float16: matrix products round their operands to f16, where the GPU has tensor cores for it (default: float32)',
    },
  ]),
  ...group('Output', [
    {
      name: '--out',
      value: '<folder>',
      path: 'outDir',
      kind: 'text',
      help: 'adapter, checkpoints, metrics and report (default: out)',
    },
    {
      name: '--base-model-name',
      value: '<hub id>',
      path: 'weightLoader.baseModel',
      kind: 'text',
      help: 'what the adapter names as its base (default: what the files say of where they are on the hub)',
    },
    { name: '--name', value: '<name>', path: 'name', kind: 'text', help: 'of the run (default: finetune)' },
    { name: '--resume', path: 'resume', kind: 'switch', help: 'go on from the newest checkpoint in the folder' },
    {
      name: '--resume-from',
      value: '<step>',
      path: 'resumeFrom',
      kind: 'number',
      help: 'go back to the checkpoint of this step, and on from it; the learning rate may be another',
    },
    { name: '--overwrite', path: 'overwrite', kind: 'switch', help: 'remove the run that is in the folder' },
    {
      name: '--eval-every',
      value: '<steps>',
      path: 'evalEvery',
      kind: 'number',
      help: 'default: ten times in the run',
    },
    {
      name: '--save-every',
      value: '<steps>',
      path: 'saveEvery',
      kind: 'number',
      help: 'default: ten times in the run, at least every 1000',
    },
    { name: '--keep', value: '<n>', path: 'keep', kind: 'number', help: 'newest checkpoints that stay (default: 2)' },
    {
      name: '--keep-period',
      value: '<steps>',
      path: 'keepPeriod',
      kind: 'number',
      help: 'checkpoints at multiples of this stay for ever',
    },
    {
      name: '--export-best',
      path: 'keepBest',
      kind: 'switch',
      sets: 'export',
      help: 'export the step with the lowest evaluation loss, not the last (a checkpoint of it is kept in any case)',
    },
    {
      name: '--early-stopping',
      value: '<n>',
      path: 'earlyStopping.patience',
      kind: 'number',
      help: 'stop after so many evaluations without a lower loss',
    },
    {
      name: '--min-delta',
      value: '<x>',
      path: 'earlyStopping.minDelta',
      kind: 'number',
      help: 'by how much a loss must be lower for --early-stopping (default: 0)',
    },
    {
      name: '--sample-every',
      value: '<steps>',
      path: 'sampleEvery',
      kind: 'number',
      help: 'default: before the first step and after the last',
    },
    {
      name: '--sample-count',
      value: '<rows>',
      path: 'sampleCount',
      kind: 'number',
      help: 'held-out rows that are answered (default: 4)',
    },
    {
      name: '--sample-tokens',
      value: '<n>',
      path: 'sampleTokens',
      kind: 'number',
      help: 'longest answer (default: 64)',
    },
  ]),
];
