// The whole way in code, as in a page: a table in a File, a run that is stopped and goes on, measured beside its base, asked, and left as a
// GGUF that answers alike. By the command line and with llama.cpp: whole-way.e2e.test.ts.
import {
  createMemoryStore,
  exportCheckpoint,
  resolveTrainConfig,
  runTraining,
  TrainingInterruptedError,
} from '@lapidary/trainer';
import { bufferSource, modelWeightLoader } from '@lapidary/weights';
import { evaluateModel, TextModel } from 'lapidary';
import { expect, it } from 'vitest';
import { fixtureSources } from './support/fixture-sources.js';
import { fixtureBytes } from './support/safetensors-fixture.js';

const example = '../../examples/finetune';
const heldCount = 8;

interface Order {
  readonly prompt: string;
  readonly completion: string;
}

const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
const table = (rows: readonly Order[]) =>
  ['question,answer', ...rows.map(({ prompt, completion }) => `${quoted(prompt)},${quoted(completion)}`)].join('\n');

it('from a table to a GGUF', async () => {
  const text = new TextDecoder().decode(await fixtureBytes(`${example}/data/orders.jsonl`));
  const orders = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Order);
  const files = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
  const weightLoader = modelWeightLoader({
    from: await fixtureSources(...files.map((file) => `${example}/base/${file}`)),
  });
  const keys = { promptKey: 'question', completionKey: 'answer' };
  const config = {
    weightLoader,
    data: { source: new File([table(orders.slice(0, -heldCount))], 'orders.csv'), ...keys },
    packing: true,
    maxLength: 128,
    batchSize: 4,
    steps: 40,
    evalEvery: 10,
    earlyStopping: { patience: 3 },
    lora: { rank: 16, alpha: 32 },
    optimizer: { learningRate: 0.01 },
    sampleCount: 0,
  };
  const store = createMemoryStore();
  const stop = new AbortController();
  const stopped = runTraining(resolveTrainConfig(config), {
    store,
    signal: stop.signal,
    logger: { onStep: ({ step }) => void (step === 10 && stop.abort()) },
  });
  await expect(stopped).rejects.toThrow(TrainingInterruptedError);
  const accuracies: number[] = [];
  const summary = await runTraining(resolveTrainConfig({ ...config, resume: true }), {
    store,
    logger: { onEval: ({ metrics }) => void accuracies.push(metrics!['accuracy']!) },
  });
  expect(summary.finalEvalLoss!).toBeLessThan(0.3 * summary.baseEvalLoss!);
  expect(accuracies.at(-1)!).toBeGreaterThan(0.7);

  const adapter = await Promise.all(
    ['adapter_config.json', 'adapter_model.safetensors'].map(async (name) =>
      bufferSource(name, await store.read(name)),
    ),
  );
  const held = new File([table(orders.slice(-heldCount))], 'held.csv');
  const prompts = orders.slice(-heldCount).map(({ prompt }) => prompt);
  const answersOf = async (model: TextModel, name?: string) => {
    const session = model.openSession({ maxLength: 64, rows: 4, ...(name && { adapter: name }) });
    const answers = await Promise.all(
      prompts.map(async (prompt) => {
        let answer = '';
        for await (const part of session.answer(prompt, { maxNewTokens: 16 })) answer += part;
        return answer;
      }),
    );
    await session.destroy();
    return answers;
  };

  const tuned = await TextModel.open(weightLoader, { adapters: { tuned: adapter } });
  const found = await evaluateModel(
    tuned,
    { source: held, ...keys, named: { model: 'base', data: 'held.csv' } },
    { maxTokens: 16 },
  );
  const [before, after] = found.variants;
  expect(after!.perplexity!.value).toBeLessThan(before!.perplexity!.value);
  expect(after!.exactMatch!.right).toBeGreaterThan(before!.exactMatch!.right);
  const answers = await answersOf(tuned, 'tuned');
  tuned.destroy();
  expect(found.answers.map((row) => row.answers[1]!.text)).toEqual(answers);

  const out = createMemoryStore();
  await exportCheckpoint({
    run: store,
    out,
    form: { to: 'gguf', quant: 'f32', file: 'tuned.gguf' },
    openBase: () => weightLoader,
  });
  const gguf = await TextModel.open(
    modelWeightLoader({ from: bufferSource('tuned.gguf', await out.read('tuned.gguf')) }),
  );
  expect(await answersOf(gguf)).toEqual(answers);
  gguf.destroy();
});
