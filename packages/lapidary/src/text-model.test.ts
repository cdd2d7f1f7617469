// Where answers end, against what transformers generates (greedily, with generation_config.json) from the same ids.
import { openModel } from '@lapidary/trainer';
import { openGpu, type Gpu } from '@lapidary/gpu';
import { bufferSource, modelWeightLoader } from '@lapidary/weights';
import type { ChatMessage, Tokenizer } from '@lapidary/gemma';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { chatModelSources } from '../../../test/support/fixture-sources.js';
import { fixtureJson } from '../../../test/support/safetensors-fixture.js';
import { TextModel } from './text-model.js';

const { greedy } = await fixtureJson<{ greedy: { prompt: number[]; new: number[] } }>(
  'models/gemma3-tiny/reference.json',
);
const files = (await chatModelSources()).filter(({ name }) => name !== 'generation_config.json');
const { tokenizer } = await openModel(modelWeightLoader({ from: files }));
/** The third of the tokens that transformers generates; the fourth is the same. */
const third = greedy.new[2]!;

/** Every text is the prompt of the reference, and one of its words ends a turn. */
const reading: Tokenizer = {
  ...tokenizer,
  encode: () => [...greedy.prompt],
  decode: (ids) => ids.map((id) => ` ${id}`).join(''),
  tokenId: (token) => (token === '<end_of_turn>' ? third : tokenizer.tokenId(token)),
};

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

/** The tokens of an answer where generation_config.json says `generation`; null: there is none. */
async function answerOf(generation: object | null, prompt: string | readonly ChatMessage[] = 'any') {
  const text = JSON.stringify(generation);
  const beside = generation ? [bufferSource('generation_config.json', new TextEncoder().encode(text))] : [];
  const loader = { ...modelWeightLoader({ from: [...files, ...beside] }), tokenizer: reading };
  const model = await TextModel.open(loader, { gpu });
  try {
    const answer = model.answer(prompt, { maxNewTokens: greedy.new.length });
    let next = await answer.next();
    let told = '';
    for (; !next.done; next = await answer.next()) told += next.value;
    return { ids: told.trim().split(' ').map(Number), stoppedBy: next.value.stoppedBy };
  } finally {
    model.destroy();
  }
}

it('a text is continued as by transformers, past the end of a turn that generation_config.json does not list', async () => {
  expect(await answerOf({ eos_token_id: 1 })).toEqual({ ids: greedy.new, stoppedBy: 'length' });
  expect(await answerOf({ eos_token_id: [1] })).toEqual({ ids: greedy.new, stoppedBy: 'length' });
});

it('it ends where generation_config.json says', async () => {
  const ids = (count: number) => ({ ids: greedy.new.slice(0, count), stoppedBy: 'stop' });
  expect(await answerOf({ eos_token_id: [1, third] })).toEqual(ids(2));
  expect(await answerOf({ eos_token_id: [greedy.new[1]!, 1] })).toEqual(ids(1));
});

it('where nothing lists the ends, a turn that ends is one', async () => {
  const two = { ids: greedy.new.slice(0, 2), stoppedBy: 'stop' };
  expect(await answerOf(null)).toEqual(two);
  expect(await answerOf({ bos_token_id: 2 })).toEqual(two);
  expect(await answerOf({ eos_token_id: null })).toEqual(two);
});

it('the answer in a conversation is one turn, whatever is listed', async () => {
  const { stoppedBy } = await answerOf({ eos_token_id: 1 }, [{ role: 'user', content: 'any' }]);
  expect(stoppedBy).toBe('stop');
});
