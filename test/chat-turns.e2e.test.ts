// A small model learns turns with thoughts and calls in the form of its family's templates, and answers so: as it was trained, and from the
// GGUF that is made of it.
import { createRandom, families, initialParam, modelOf, readFunctionCalls, splitThoughts } from '@lapidary/gemma';
import { openGpu } from '@lapidary/gpu';
import { createMemoryStore, exportCheckpoint, resolveTrainConfig, runTraining } from '@lapidary/trainer';
import { bufferSource, encodeFloats, hfModelFiles, modelWeightLoader, type TensorData } from '@lapidary/weights';
import { type AnswerOptions, TextModel } from 'lapidary';
import { expect, it } from 'vitest';
import { fixtureSources } from './support/fixture-sources.js';
import { fixtureJson } from './support/safetensors-fixture.js';

const { templates } = await fixtureJson<{ templates: { small: { plain: string } } }>('chat/turns.json');
const utf8 = new TextEncoder();

/** gemma4-tiny with as many words as the tokenizer has, and room for a conversation. */
async function baseFiles() {
  const json = await fixtureJson<{ readonly rope_parameters: object }>('models/gemma4-tiny/config.json');
  const size = { vocab_size: 560, vocab_size_per_layer_input: 560, max_position_embeddings: 256, sliding_window: 16 };
  // As the released ones turn, which a GGUF does not say.
  const rope = { partial_rotary_factor: 0.25, rope_theta: 1000, rope_type: 'proportional' };
  const geometry = {
    per_layer_config: { 3: { head_dim: 16 }, 7: { head_dim: 16 } },
    rope_parameters: { ...json.rope_parameters, full_attention: rope },
  };
  const family = families.find(({ id }) => id === 'gemma4')!;
  const model = modelOf(family.hf!.read({ ...json, ...size, ...geometry }));
  const random = createRandom(3);
  const params = new Map(
    model.params.map((spec): [string, TensorData] => {
      const bytes = encodeFloats(initialParam(spec, spec.shape, random), 'f32');
      return [spec.path, { dtype: 'f32', shape: spec.shape, bytes }];
    }),
  );
  const files = [];
  for (const [name, content] of Object.entries(hfModelFiles(model, params))) {
    const pieces = [];
    if (content instanceof Uint8Array) pieces.push(content);
    else for await (const piece of content) pieces.push(piece);
    files.push(bufferSource(name, new Uint8Array(await new Blob(pieces as BlobPart[]).arrayBuffer())));
  }
  const tokenizer = await fixtureSources('tokenizer-merges/tokenizer.json', 'tokenizer-merges/tokenizer_config.json');
  return [...files, ...tokenizer, bufferSource('chat_template.jinja', utf8.encode(templates.small.plain))];
}

const user = (content: string) => ({ role: 'user', content }) as const;
const call = { type: 'function', function: { name: 'weather', arguments: '{"place":"Bern"}' }, id: 'a' } as const;
const tools = [{ type: 'function', function: { name: 'weather', description: 'Weather.' } }];
const chatTemplateKwargs = { enable_thinking: true };
const asked = [
  user('Rain?'),
  { role: 'assistant', tool_calls: [call] },
  { role: 'tool', tool_call_id: 'a', content: 'wet' },
] as const;
const source = [
  {
    messages: [user('Why?'), { role: 'assistant', content: 'So.', reasoning_content: 'It is late.' }],
    chat_template_kwargs: chatTemplateKwargs,
  },
  { messages: [...asked, { role: 'assistant', content: 'Yes.' }], tools },
];

it('thoughts and calls are learned and told, with each end of an answer', { timeout: 600_000 }, async () => {
  const gpu = await openGpu();
  const [store, out] = [createMemoryStore(), createMemoryStore()];
  const weightLoader = modelWeightLoader({ from: await baseFiles() });
  const config = resolveTrainConfig({
    weightLoader,
    data: { source },
    evalFraction: 0,
    maxLength: 192,
    batchSize: 2,
    steps: 80,
    lora: null,
    optimizer: { learningRate: 1e-2 },
    schedule: { type: 'constant' },
    sampleCount: 0,
    outDir: 'memory',
  });
  const losses: number[] = [];
  await runTraining(config, { store, gpu, logger: { onStep: ({ loss }) => void losses.push(loss) } });
  console.log(
    losses
      .filter((_, i) => i % 20 === 0 || i === losses.length - 1)
      .map((loss) => loss.toFixed(3))
      .join(' '),
  );
  const openBase = () => weightLoader;
  await exportCheckpoint({ run: store, out, openBase, form: { to: 'gguf', quant: 'f32', file: 'turns.gguf' } });
  const gguf = bufferSource('turns.gguf', await out.read('turns.gguf'));
  const result = [];
  const hf = createMemoryStore();
  for (const name of (await exportCheckpoint({ run: store, out: hf, openBase })).files)
    result.push(bufferSource(name, await hf.read(name)));
  for (const from of [result, [gguf]]) {
    const model = await TextModel.open(modelWeightLoader({ from }), { gpu });
    const answer = async (question: Parameters<TextModel['answer']>[0], options: AnswerOptions) => {
      const told = model.answer(question, { maxNewTokens: 60, ...options });
      let text = '';
      let next = await told.next();
      for (; !next.done; next = await told.next()) text += next.value;
      return { text, stoppedBy: next.value.stoppedBy };
    };
    const thought = await answer([user('Why?')], { chatTemplateKwargs });
    expect(thought.stoppedBy).toBe('stop');
    expect(splitThoughts(thought.text)).toEqual({ thoughts: 'It is late.', content: 'So.' });
    const called = await answer([user('Rain?')], { tools });
    expect(called.stoppedBy).toBe('stop');
    expect(readFunctionCalls(called.text)).toEqual({
      content: '',
      calls: [{ name: 'weather', arguments: { place: 'Bern' } }],
    });
    expect(await answer(asked, { tools })).toEqual({ text: 'Yes.', stoppedBy: 'stop' });
    model.destroy();
  }
  gpu.destroy();
});
