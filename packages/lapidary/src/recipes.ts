/** Settings that are known to work, with where they come from. */
export interface Recipe {
  readonly name: string;
  /** What it is for, in a line. */
  readonly title: string;
  /** Fields of a config file: those of `TrainConfig` that files hold, and `model`. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Why a field is as it is, by its path. */
  readonly reasons: Readonly<Record<string, string>>;
}

const qlora = 'QLoRA (Dettmers et al. 2023, table 9)';
const openpi = 'OpenPI trains its Gemma 2B trunk so';
const unsloth = "Unsloth's notebook for FunctionGemma on google/mobile-actions";
const miriad = "Hugging Face's guide to EmbeddingGemma, on MIRIAD";
const bigVision = "big_vision's PaliGemma transfers";

/** Every recipe. To add one: a value here. */
export const recipes: readonly Recipe[] = [
  {
    name: 'gemma3-270m-lora',
    title: 'a LoRA on the smallest Gemma 3, for a laptop or a page',
    settings: {
      model: 'google/gemma-3-270m-it',
      epochs: 3,
      batchSize: 4,
      maxLength: 512,
      lora: { rank: 16, alpha: 16, dropout: 0.05 },
      optimizer: { type: 'adamw', learningRate: 2e-4, betas: [0.9, 0.999], weightDecay: 0, clipGradNorm: 0.3 },
      schedule: { type: 'constant' },
    },
    reasons: {
      epochs: 'a small model on a few hundred rows; watch the evaluation, and stop where it rises',
      'lora.rank': `all linears are adapted, which matters more than the rank: ${qlora}`,
      'optimizer.learningRate': `${qlora}, up to 13B; about ten times the rate of full fine-tuning`,
      'optimizer.clipGradNorm': qlora,
      'schedule.type': qlora,
    },
  },
  {
    name: 'gemma4-e2b-lora',
    title: 'a LoRA on Gemma 4 E2B, its base in 8 bits, for a device of 8 GB',
    settings: {
      model: 'google/gemma-4-E2B-it',
      quantize: 'q8_0',
      epochs: 1,
      batchSize: 1,
      gradientAccumulation: 8,
      maxLength: 1024,
      gradientCheckpointing: true,
      lora: {
        rank: 16,
        alpha: 16,
        dropout: 0,
        targets: ['qProj', 'kProj', 'vProj', 'oProj', 'gateProj', 'upProj', 'downProj'],
      },
      optimizer: { type: 'adamw', learningRate: 2e-4, betas: [0.9, 0.999], weightDecay: 0.001 },
      schedule: { type: 'linear', warmupSteps: 5 },
    },
    reasons: {
      quantize:
        'its linears take half the memory of bf16; the 4.4 GiB of embeddings for each layer stay in their file in any case',
      batchSize: 'one row at a time: layers are wide, and half of them have MLPs of 12,288',
      'lora.targets':
        'the seven linears that recipes for Gemma 4 adapt; those of the inputs of layers stay as they are',
      'optimizer.learningRate': `${qlora}, up to 13B`,
    },
  },
  {
    name: 'functiongemma-270m-lora',
    title: 'a LoRA on FunctionGemma, for calls of your own functions',
    settings: {
      model: 'google/functiongemma-270m-it',
      epochs: 2,
      batchSize: 4,
      gradientAccumulation: 2,
      maxLength: 1024,
      lora: { rank: 16, alpha: 16, dropout: 0 },
      optimizer: { type: 'adamw', learningRate: 2e-4, betas: [0.9, 0.999], weightDecay: 0.001 },
      schedule: { type: 'linear', warmupSteps: 5 },
    },
    reasons: {
      epochs:
        'rows {"messages", "tools"}; the calls alone are learned. Watch the held-out calls: `lapidary eval` counts the same ones',
      gradientAccumulation: `8 rows a step: ${unsloth}`,
      maxLength: 'declarations of functions are most of a row; `lapidary data` tells how long rows are',
      'lora.rank': `rank and alpha 16 in all linears: ${unsloth}`,
      'optimizer.learningRate': `${unsloth}, which takes 2e-5 for long runs`,
      'optimizer.weightDecay': unsloth,
      'schedule.type': unsloth,
    },
  },
  {
    name: 'embeddinggemma-300m-lora',
    title: 'a LoRA on EmbeddingGemma, for search in texts of your own',
    settings: {
      model: 'google/embeddinggemma-300m',
      objective: { type: 'contrastive', scale: 20 },
      epochs: 1,
      batchSize: 8,
      gradientAccumulation: 16,
      maxLength: 1024,
      lora: { rank: 16, alpha: 16 },
      optimizer: { type: 'adamw', learningRate: 2e-4, betas: [0.9, 0.999], weightDecay: 0 },
      schedule: { type: 'linear' },
    },
    reasons: {
      'objective.scale': "that of sentence-transformers' MultipleNegativesRankingLoss",
      epochs: `rows {"query", "document"}, with "negative" where one is easily mistaken: ${miriad} one, of 100,000; of fewer rows take more, and watch ndcg@10`,
      gradientAccumulation: `128 rows a step, each the negatives of all others, in the memory of 8: ${miriad}`,
      maxLength: `of each text with its prompt: ${miriad}; the model knows up to 2048`,
      'optimizer.learningRate': `ten times the 2e-5 of ${miriad}, which trains all parameters`,
      'schedule.type': miriad,
    },
  },
  {
    name: 'gemma3-1b-lora',
    title: 'a LoRA on Gemma 3 1B within 6 GiB',
    settings: {
      model: 'google/gemma-3-1b-it',
      epochs: 2,
      batchSize: 1,
      gradientAccumulation: 16,
      maxLength: 1024,
      memoryBudget: 6 * 2 ** 30,
      lora: { rank: 16, alpha: 16, dropout: 0.05 },
      optimizer: { type: 'adamw', learningRate: 2e-4, betas: [0.9, 0.999], weightDecay: 0, clipGradNorm: 0.3 },
      schedule: { type: 'constant' },
    },
    reasons: {
      gradientAccumulation: `16 rows a step, as ${qlora}, one at a time`,
      memoryBudget: 'activations of as few blocks as needed are computed again',
      'optimizer.learningRate': qlora,
      'optimizer.clipGradNorm': qlora,
      'schedule.type': qlora,
    },
  },
  {
    name: 'gemma-2b-full',
    title: 'all parameters of Gemma 2B, with what OpenPI trains it with',
    settings: {
      model: 'google/gemma-2b',
      steps: 30_000,
      batchSize: 4,
      gradientAccumulation: 8,
      lora: null,
      emaDecay: 0.99,
      optimizer: {
        type: 'adamw',
        learningRate: 2.5e-5,
        betas: [0.9, 0.95],
        eps: 1e-8,
        weightDecay: 1e-10,
        clipGradNorm: 1,
      },
      schedule: { type: 'cosine', warmupSteps: 1000, decaySteps: 30_000, endLearningRate: 2.5e-6 },
      gradientCheckpointing: true,
    },
    reasons: {
      gradientAccumulation: `32 rows a step: ${openpi}`,
      emaDecay: openpi,
      'optimizer.learningRate': openpi,
      'optimizer.betas': openpi,
      'optimizer.weightDecay': `${openpi}: as good as none`,
      'schedule.warmupSteps': openpi,
      'schedule.endLearningRate': `${openpi}: a tenth of the peak`,
      gradientCheckpointing: 'parameters, gradients and optimiser state alone take 40 GB in f32',
    },
  },
  {
    name: 'paligemma-224-lora',
    title: 'a LoRA on the language tower of PaliGemma at 224 pixels',
    settings: {
      model: 'google/paligemma-3b-pt-224',
      epochs: 5,
      batchSize: 4,
      gradientAccumulation: 8,
      maxLength: 128,
      lora: { rank: 16, alpha: 16, towers: ['language'] },
      optimizer: { type: 'adamw', learningRate: 1e-4, clipGradNorm: 1 },
      schedule: { type: 'cosine' },
    },
    reasons: {
      maxLength: `tokens of text; the 256 of the picture come on top. ${bigVision} take as many`,
      'lora.rank': "OpenPI's gemma_2b_lora: rank and alpha 16, in attention and MLP",
      'lora.towers': 'the vision tower is good as it is for most tasks: adapt it for pictures unlike photographs',
      'optimizer.learningRate': 'ten times that of full fine-tuning',
    },
  },
  {
    name: 'paligemma-224-full',
    title: 'all parameters of PaliGemma at 224 pixels, as its authors transfer it',
    settings: {
      model: 'google/paligemma-3b-pt-224',
      epochs: 5,
      batchSize: 2,
      gradientAccumulation: 16,
      maxLength: 128,
      lora: null,
      optimizer: { type: 'adamw', learningRate: 1e-5, weightDecay: 3e-7, clipGradNorm: 1 },
      schedule: { type: 'cosine', endLearningRate: 0 },
      gradientCheckpointing: true,
    },
    reasons: {
      gradientAccumulation: `32 rows a step: ${bigVision}`,
      maxLength: bigVision,
      'optimizer.learningRate': bigVision,
      'optimizer.weightDecay': bigVision,
      'schedule.type': `${bigVision}, with a warm-up of a twentieth; ours is a thirtieth unless warmupSteps says more`,
    },
  },
  {
    name: 'paligemma-224-attention',
    title: "PaliGemma's decoder attention alone, with SGD: the least memory without a LoRA",
    settings: {
      model: 'google/paligemma-3b-pt-224',
      epochs: 5,
      batchSize: 4,
      gradientAccumulation: 2,
      maxLength: 128,
      lora: null,
      trainable: ['language.layers.*.attn.**'],
      optimizer: { type: 'sgd', learningRate: 0.03, momentum: 0, clipGradNorm: null },
      schedule: { type: 'cosine', endLearningRate: 0 },
    },
    reasons: {
      trainable: "what big_vision's colab for PaliGemma trains; all else stays in bf16",
      'optimizer.type': 'keeps no state of the parameters',
    },
  },
];
