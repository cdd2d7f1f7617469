// Runs that we export for TRL, against TRL and PEFT on two processes of accelerate (test/fixtures/trl): the same files, the same losses.
import { openGpu, type Gpu } from '@lapidary/gpu';
import {
  ConfigError,
  createMemoryStore,
  listCheckpoints,
  ExportError,
  readText,
  type TrainConfig,
} from '@lapidary/trainer';
import { bufferSource, gemmaWeightLoader, readPeftAdapter } from '@lapidary/weights';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chatModelSources } from './support/fixture-sources.js';
import { fixtureBytes, fixtureJson } from './support/safetensors-fixture.js';
import { exportTrlCase, trainTrlCase, trlCases, trlSteps } from './support/trl-cases.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

interface Told {
  readonly processes: number;
  /** SHA-256 of train.py. */
  readonly script: string;
  /** SHA-256 of base/model.safetensors. */
  readonly base?: string;
  readonly loss: readonly number[];
  readonly gradNorm: readonly number[];
}

interface TrlRun {
  readonly steps: readonly { readonly learningRate: number; readonly rows: readonly (number | null)[] }[];
}

const [fresh, continued] = trlCases as readonly [(typeof trlCases)[number], (typeof trlCases)[number]];
const sha256 = async (bytes: Uint8Array) =>
  [...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes.slice()))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');

describe.each(trlCases.map((each) => [each.name, each] as const))('%s', (name, trlCase) => {
  it('has the losses of TRL, step by step, and leaves as the files that TRL was given', async () => {
    const told = await fixtureJson<Told>(`trl/${name}/losses.json`);
    const { store, steps } = await trainTrlCase(trlCase, gpu);
    expect(told.processes).toBe(2);
    expect(steps).toHaveLength(trlSteps);
    steps.forEach(({ loss, gradNorm }, i) => {
      expect(Math.abs(loss / told.loss[i]! - 1), `loss of step ${i}`).toBeLessThan(1e-3);
      expect(Math.abs(gradNorm / told.gradNorm[i]! - 1), `gradient norm of step ${i}`).toBeLessThan(5e-3);
    });
    const out = createMemoryStore();
    const { step, notices } = await exportTrlCase(trlCase, store, out);
    expect(step).toBe(0);
    expect(notices).toEqual(told.base === undefined ? [] : [expect.stringMatching(/base\/ holds its weights as f32/)]);
    for (const file of ['run.json', 'rows.jsonl'])
      expect(await readText(out, file), file).toBe(new TextDecoder().decode(await fixtureBytes(`trl/${name}/${file}`)));
    // Where train.py is another, what it told of these files is not known: test/fixtures/make-trl.ts.
    expect(await sha256(await out.read('train.py'))).toBe(told.script);
    if (told.base === undefined) expect(await out.list('base')).toEqual([]);
    else expect(await sha256(await out.read('base/model.safetensors'))).toBe(told.base);
  });
});

it('goes on from a checkpoint with its adapter, rows and rates', async () => {
  const { store } = await trainTrlCase(fresh, gpu, { steps: 6, saveEvery: 3, evalEvery: 3 });
  expect(await listCheckpoints(store)).toContain(3);
  const [whole, rest] = [createMemoryStore(), createMemoryStore()];
  await exportTrlCase(fresh, store, whole);
  const { step, notices } = await exportTrlCase(fresh, store, rest, 3);
  expect(step).toBe(3);
  expect(notices).toEqual([expect.stringMatching(/moments are not passed on: from step 3 on they begin anew/)]);
  const stepsOf = async (from: typeof rest) => (JSON.parse(await readText(from, 'run.json')) as TrlRun).steps;
  expect(await stepsOf(rest)).toEqual((await stepsOf(whole)).slice(3));
  // An epoch of 10 rows is 3 steps, and the last has two rows.
  expect((await stepsOf(whole))[2]!.rows.slice(2)).toEqual([null, null]);
  const { model } = await gemmaWeightLoader({ from: await chatModelSources() }).open();
  const adapterOf = async (from: typeof rest) =>
    readPeftAdapter(
      await Promise.all(
        ['adapter_config.json', 'adapter_model.safetensors'].map(async (name) =>
          bufferSource(name, await from.read(`adapter/${name}`)),
        ),
      ),
      { model },
    );
  const b = 'layers.0.attn.qProj.lora.b';
  expect((await adapterOf(whole)).tensors.get(b)!.every((value) => value === 0)).toBe(true);
  expect((await adapterOf(rest)).tensors.get(b)!.every((value) => value === 0)).toBe(false);
  await expect(exportTrlCase(fresh, store, rest)).rejects.toThrow(/holds .* already: name another folder/);
  await expect(exportTrlCase(fresh, store, createMemoryStore(), 6)).rejects.toThrow(/nothing is left of it to train/);
  await expect(exportTrlCase(fresh, store, createMemoryStore(), 4)).rejects.toThrow(ExportError);
});

it.each<[Partial<TrainConfig>, RegExp]>([
  [{ lora: null }, /lora: found null; allowed: a LoRA/],
  [{ optimizer: { type: 'lion' }, emaDecay: 0.9 }, /optimizer\.type: found "lion"[\s\S]*emaDecay: found 0\.9/],
  [{ packing: true }, /packing: found true/],
  [{ objective: { labelSmoothing: 0.1 }, freeze: ['layers.0.**'] }, /labelSmoothing: found 0\.1[\s\S]*freeze/],
])('refuses what TRL would do otherwise: %o', async (over, message) => {
  const { store } = await trainTrlCase(fresh, gpu, {
    steps: 1,
    schedule: { type: 'constant', warmupSteps: 0 },
    ...over,
  });
  const out = createMemoryStore();
  const exported = exportTrlCase(fresh, store, out);
  await expect(exported).rejects.toThrow(ConfigError);
  await expect(exported).rejects.toThrow(message);
  expect(await out.list()).toEqual([]);
});

it('refuses rows that are not those of the run any more, and those that nobody can find', async () => {
  const { store } = await trainTrlCase(continued, gpu, { steps: 1 });
  const run = JSON.parse(await readText(store, 'run.json')) as { config: { data: { source: unknown } } };
  const having = async (source: unknown) => {
    const config = { ...run.config, data: { ...run.config.data, source } };
    await store.write('run.json', JSON.stringify({ ...run, config }));
    return exportTrlCase(continued, store, createMemoryStore());
  };
  const rows = run.config.data.source as object[];
  await expect(having(rows.slice(1))).rejects.toThrow(/data: saved/);
  await expect(having('112 rows')).rejects.toThrow(/handed over in code/);
  await expect(having(rows)).resolves.toMatchObject({ step: 0 });
});
