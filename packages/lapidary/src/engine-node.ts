import {
  createRandom,
  createTextStream,
  Generator,
  gemmaLoraSpecs,
  paramTree,
  planVariables,
  renderChat,
  sampleToken,
  type ParamPlan,
} from '@lapidary/gemma';
import { baselineProfile, openGpu, type DeviceProfile } from '@lapidary/gpu';
import { Variable } from '@lapidary/tensor';
import { byteLength } from '@lapidary/kernels';
import { openData, openModel, planModel, planRun, planRunMemory, runTraining, type TrainPlan } from '@lapidary/trainer';
import { gemmaWeightLoader, readPeftAdapter, type WeightLoader } from '@lapidary/weights';
import type { Engine, GenerateRequest, TrainingPlan } from './engine.js';

/** What the commands run on in Node. */
export const engine: Engine = {
  openModel: async (model) => loaderOf(model),
  runTraining,
  planTraining: async (config) => {
    const open = await openModel(config.weightLoader);
    try {
      const data = await openData(config, open);
      const model = planModel(open, config);
      const { profile, known } = await profileAtHand();
      const plan = planRunMemory(profile, model, data, config);
      return {
        parameters: [...model.variables.values()].reduce((n, v) => n + v.tensor.size, 0),
        trainableParameters: model.step.trained.reduce((n, t) => n + t.param.tensor.size, 0),
        totalSteps: planRun(config, data.train.length).totalSteps,
        tokensPerStep: config.batchSize * config.maxLength * config.gradientAccumulation,
        memory: plan.memory,
        availableBytes: known ? profile.limits.maxBufferSize : null,
        advice: adviceFor(plan, config.gradientCheckpointing),
      } satisfies TrainingPlan;
    } finally {
      await open.weights.close();
    }
  },
  inspectModel: async (model) => {
    const weights = await loaderOf(model).open();
    try {
      const { layerTypes, eosTokenIds, ...settings } = weights.config;
      const tensors = [...weights.entries].map(([name, { dtype, shape }]) => ({
        name,
        dtype,
        shape,
        bytes: byteLength(
          dtype,
          shape.reduce((a, b) => a * b, 1),
        ),
      }));
      return {
        source: model,
        format: weights.format,
        family: weights.config.family,
        parameters: tensors.reduce((n, t) => n + t.shape.reduce((a, b) => a * b, 1), 0),
        bytes: tensors.reduce((n, t) => n + t.bytes, 0),
        config: {
          ...settings,
          globalLayers: layerTypes.filter((t) => t === 'global').length,
          eosTokenIds: eosTokenIds.join(', '),
        },
        tensors,
      };
    } finally {
      await weights.close();
    }
  },
  generate,
};

const loaderOf = (model: string): WeightLoader & { readonly description: string } => ({
  description: model,
  ...gemmaWeightLoader({ from: model }),
});

/** The profile of the adapter that a run would use; WebGPU's baseline where there is none. */
async function profileAtHand(): Promise<{ profile: DeviceProfile; known: boolean }> {
  try {
    const gpu = await openGpu();
    gpu.destroy();
    return { profile: gpu.profile, known: true };
  } catch {
    return { profile: baselineProfile, known: false };
  }
}

function adviceFor({ memory }: TrainPlan, checkpointing: boolean): string[] {
  const bytes = (category: RegExp) => memory.find((m) => category.test(m.category))?.bytes ?? 0;
  const advice: [number, string][] = [
    [checkpointing ? 0 : bytes(/Activations/), 'gradient checkpointing (--gradient-checkpointing)'],
    [
      bytes(/Activations/) / 2,
      'shorter rows (--max-length) or fewer of them at a time (--batch-size) with gradient accumulation',
    ],
    [bytes(/Weights/) / 2, 'a quantised base model (a .gguf file)'],
    [bytes(/Optimiser/), 'a smaller LoRA rank, or a LoRA instead of full fine-tuning'],
  ];
  return advice
    .filter(([gain]) => gain > 0)
    .sort((a, b) => b[0] - a[0])
    .map(([, text]) => text);
}

async function generate(
  request: GenerateRequest,
  { onText, signal }: Parameters<Engine['generate']>[1],
): ReturnType<Engine['generate']> {
  const began = performance.now();
  const open = await openModel(loaderOf(request.model));
  const gpu = await openGpu();
  try {
    const { config, tokenizer, weights } = open;
    const variables = planVariables(
      new Map(
        [...weights.entries].map(([path, { shape, dtype }]): [string, ParamPlan] => [
          path,
          { shape, dtype, category: 'weights' },
        ]),
      ),
    );
    for (const variable of variables.values()) variable.allocate(gpu);
    await weights.load(
      weights.entries,
      { write: (path, offset, bytes) => variables.get(path)!.write(bytes, offset) },
      { signal },
    );
    let loraScale: number | undefined;
    if (request.adapter !== null) {
      const adapter = await readPeftAdapter(request.adapter, { config });
      loraScale = adapter.alpha / (adapter.rslora ? Math.sqrt(adapter.rank) : adapter.rank);
      const specs = gemmaLoraSpecs(config, { rank: adapter.rank, alpha: adapter.alpha });
      for (const [path, values] of adapter.tensors) {
        const variable = new Variable(path, { shape: specs.get(path)!.shape, dtype: 'f32' }, 'weights').allocate(gpu);
        variable.write(values);
        variables.set(path, variable);
      }
    }
    const bosToken = tokenizer.decode([tokenizer.bosId], { skipSpecialTokens: false });
    const prompt = request.chat
      ? tokenizer.encode(
          renderChat([{ role: 'user', content: request.prompt }], {
            addGenerationPrompt: true,
            bosToken,
            ...(tokenizer.chatTemplate !== undefined && { template: tokenizer.chatTemplate }),
          }),
          { addSpecialTokens: false },
        )
      : tokenizer.encode(request.prompt);
    const generator = new Generator(gpu, paramTree(variables), config, {
      maxLength: prompt.length + request.maxTokens,
      ...(loraScale !== undefined && { loraScale }),
    });
    const turnEnd = tokenizer.tokenId('<end_of_turn>');
    const stopTokens = [...config.eosTokenIds, tokenizer.eosId, ...(turnEnd === undefined ? [] : [turnEnd])];
    const random = createRandom(request.seed);
    const choose = (logits: Float32Array) =>
      sampleToken(logits, {
        temperature: request.temperature,
        topK: request.topK ?? 0,
        topP: request.topP ?? 1,
        random,
      });
    const stream = createTextStream(tokenizer);
    let text = '';
    let tokens = 0;
    let stoppedBy: 'stop' | 'length' = 'stop';
    const say = (part: string) => {
      text += part;
      onText(part);
    };
    for await (const token of generator.generate(prompt, {
      maxNewTokens: request.maxTokens,
      choose,
      stopTokens,
      signal,
    })) {
      tokens++;
      say(stream.push(token));
      if (request.stop.some((s) => text.includes(s))) break;
      if (tokens === request.maxTokens) stoppedBy = 'length';
    }
    say(stream.flush());
    return { text, promptTokens: prompt.length, tokens, seconds: (performance.now() - began) / 1000, stoppedBy };
  } finally {
    await open.weights.close();
    gpu.destroy();
  }
}
