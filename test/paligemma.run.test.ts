// Whole runs of a tiny PaliGemma through the trainer: pictures in rows, adapters, checkpoints, answers, and what goes wrong.
import { gemma1 } from '@lapidary/gemma';
import { type Gpu, openGpu } from '@lapidary/gpu';
import {
  createMemoryStore,
  DatasetError,
  resolveTrainConfig,
  runTraining,
  TrainingInterruptedError,
  type SampleRecord,
  type TrainConfig,
} from '@lapidary/trainer';
import { bufferSource, modelWeightLoader, paliGemmaWeightLoader, WeightNamesError } from '@lapidary/weights';
import { TextModel } from 'lapidary';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { fixtureSources, modelSources } from './support/fixture-sources.js';
import { namedPictures, pictureNamingFiles } from './support/picture-naming.js';
import { fixtureBytes } from './support/safetensors-fixture.js';

const files = await pictureNamingFiles();
const loader = () => ({ description: 'tiny', ...paliGemmaWeightLoader({ from: files }) });

const rows = (await namedPictures()).map(({ image, completion }) => ({ image, prompt: 'name', completion }));
const truncated = await fixtureBytes('images/bad/truncated.jpg');
const noPicture = await fixtureBytes('images/bad/not-a-picture.png');

const config = (over: Partial<TrainConfig> = {}) =>
  resolveTrainConfig({
    weightLoader: loader(),
    data: { source: rows },
    evalData: { source: rows },
    batchSize: 2,
    steps: 30,
    maxLength: 16,
    lora: { rank: 8, alpha: 16, towers: ['language', 'vision', 'projector'] },
    optimizer: { learningRate: 1e-2 },
    sampleTokens: 4,
    outDir: 'memory',
    ...over,
  });

// A new device compiles and checks its kernels for longer than most runs here take: they share one, and must leave it empty.
let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterEach(() => expect(gpu.counters.bytes).toBe(0));
afterAll(() => gpu.destroy());

describe('PaliGemma', () => {
  it('learns to name pictures; the adapter that was written answers as the trained model did', async () => {
    const store = createMemoryStore();
    const samples: SampleRecord[] = [];
    const summary = await runTraining(config(), {
      store,
      gpu,
      logger: { onSample: (sample) => void samples.push(sample) },
    });
    expect(summary.finalEvalLoss!).toBeLessThan(0.5 * summary.baseEvalLoss!);
    expect(Math.abs(summary.peakBytesPlanned / summary.peakBytesAllocated - 1)).toBeLessThan(0.02);
    expect(samples[0]!.pictures?.[0]).toMatch(/^data:image\/png;base64,/);
    const report = new TextDecoder().decode(await store.read('report.html'));
    expect(report.match(/<img src="data:image\/png/g)!.length).toBeGreaterThanOrEqual(4);

    const adapter = await Promise.all(
      ['adapter_config.json', 'adapter_model.safetensors'].map(async (name) =>
        bufferSource(name, await store.read(name)),
      ),
    );
    const model = await TextModel.open(loader(), { gpu, adapter });
    for (const [i, after] of samples.slice(-4).entries()) {
      let text = '';
      for await (const part of model.answer('name', { images: [rows[i]!.image], maxNewTokens: 4 })) text += part;
      expect(text).toBe(after.answer);
    }
    await expect(model.answer('name').next()).rejects.toThrow(/PaliGemma answers about a picture/);
    model.destroy();
  });

  it('resumes bit for bit', async () => {
    const losses = async (stopAt?: number) => {
      const store = createMemoryStore();
      const seen: number[] = [];
      const stop = new AbortController();
      const run = (resume: boolean) =>
        runTraining(config({ steps: 6, evalEvery: 100, sampleTokens: 1, sampleCount: 0, resume }), {
          store,
          gpu,
          signal: stop.signal,
          logger: {
            onStep: ({ step, loss }) => {
              seen.push(loss);
              if (!resume && step === stopAt) stop.abort();
            },
          },
        });
      if (stopAt === undefined) await run(false);
      else {
        await expect(run(false)).rejects.toBeInstanceOf(TrainingInterruptedError);
        await runTraining(config({ steps: 6, evalEvery: 100, sampleTokens: 1, sampleCount: 0, resume: true }), {
          store,
          gpu,
          logger: { onStep: ({ loss }) => void seen.push(loss) },
        });
      }
      return seen;
    };
    expect(await losses(2)).toEqual(await losses());
  });

  it('trains one part by pattern, the others as published', async () => {
    const store = createMemoryStore();
    await runTraining(config({ lora: null, trainable: ['projector.*'], steps: 2, sampleCount: 0 }), { store, gpu });
    const weights = await paliGemmaWeightLoader({
      from: [
        bufferSource('config.json', await store.read('config.json')),
        bufferSource('model.safetensors', await store.read('model.safetensors')),
      ],
    }).open();
    const before = await paliGemmaWeightLoader({ from: files }).open();
    const values = async (opened: typeof weights) => {
      const found = new Map<string, Uint8Array[]>();
      await opened.load(opened.entries, {
        write: (path, _, part) => void found.set(path, [...(found.get(path) ?? []), part.slice()]),
      });
      return found;
    };
    const [ours, theirs] = [await values(weights), await values(before)];
    for (const [path, parts] of ours) {
      if (path.startsWith('projector.')) expect(parts, path).not.toEqual(theirs.get(path));
      else expect(parts, path).toEqual(theirs.get(path));
    }
  });

  it('begins what the weights lack anew, only where it is allowed', async () => {
    const opened = await paliGemmaWeightLoader({ from: files }).open();
    const decoder = [...(await modelSources('gemma1-tiny')), files[2]!];
    const gemma = await modelWeightLoader({ from: decoder, families: [gemma1] }).open();
    await gemma.close();
    const whole = { ...opened.config, text: { ...gemma.config, vocabSize: 140 } };
    const run = (allowMissing: string[], notices: string[] = []) =>
      runTraining(
        config({
          weightLoader: paliGemmaWeightLoader({ decoder, config: whole }),
          allowMissing,
          steps: 2,
          sampleCount: 0,
          lora: { rank: 4 },
        }),
        { store: createMemoryStore(), gpu, logger: { onNotice: (notice) => void notices.push(notice) } },
      );
    await expect(run([])).rejects.toBeInstanceOf(WeightNamesError);
    await expect(run(['vision.**', 'projector.*'])).rejects.toThrow(/language\.embedTokens\.weight\[99:\]/);
    const notices: string[] = [];
    const summary = await run(['vision.**', 'projector.*', 'language.embedTokens.weight'], notices);
    expect(Number.isFinite(summary.finalLoss)).toBe(true);
    expect(notices.join()).toMatch(
      /40 parameters \(.* KiB\) are not in the weights and begin anew: vision\.patchEmbed/,
    );
  });

  it('opens big_vision’s npz with its SentencePiece model, and refuses a tokenizer of more words', async () => {
    const npz = await fixtureSources('npz/paligemma1-tiny.bf16.npz');
    const words = await fixtureBytes('tokenizer-paligemma/tokenizer.model');
    const tokenizer = bufferSource('paligemma_tokenizer.model', words);
    const weightLoader = paliGemmaWeightLoader({ from: npz, tokenizer: [tokenizer] });
    const run = runTraining(config({ weightLoader }), { store: createMemoryStore(), gpu });
    await expect(run).rejects.toThrow(/data:1: this row has the token \d+, but the model has 151 words/);
  });

  it('keeps what was learned before a picture that cannot be read', async () => {
    const store = createMemoryStore();
    const broken = { ...rows[0], image: truncated };
    let done = 0;
    // 12 good rows and a broken one, in any order: a run of two epochs meets it.
    const source = [...rows, ...rows, ...rows, broken];
    const over = {
      data: { source },
      evalData: null,
      evalFraction: 0,
      batchSize: 1,
      steps: 26,
      saveEvery: 100,
      sampleCount: 0,
    };
    const run = runTraining(config(over), { store, gpu, logger: { onStep: ({ step }) => void (done = step) } });
    await expect(run).rejects.toThrow(/data:13: /);
    const names = await store.list('');
    expect(done).toBeGreaterThan(0);
    expect(JSON.stringify(names)).toContain(`step-${String(done).padStart(8, '0')}`);
  });

  it('keeps what was learned before an evaluation whose picture cannot be read any more', async () => {
    const store = createMemoryStore();
    let isGone = false;
    // Every file of pictures is read again where none are kept; here one stops being there.
    const picture = rows[0]!.image as Uint8Array<ArrayBuffer>;
    const fading = new (class extends Blob {
      override arrayBuffer() {
        return isGone ? Promise.reject(new Error('gone')) : super.arrayBuffer();
      }
    })([picture]);
    const over = {
      evalData: { source: [{ ...rows[0], image: fading }] },
      batchSize: 1,
      steps: 6,
      evalEvery: 2,
      saveEvery: 100,
      sampleEvery: 3,
      sampleCount: 1,
    };
    const lines: number[] = [];
    const logger = {
      onStep: ({ step }: { readonly step: number }) => {
        lines.push(step);
        isGone = true;
      },
    };
    await expect(runTraining(config(over), { store, gpu, logger })).rejects.toThrow(/gone/);
    const last = lines.at(-1)!;
    expect(last).toBeGreaterThan(1);
    expect(JSON.stringify(await store.list(''))).toContain(`step-${String(last).padStart(8, '0')}`);
  });

  it.each<[string, readonly object[], RegExp]>([
    ['no picture', [{ prompt: 'a', completion: 'b' }], /:1: this row has no picture/],
    ['rows of text', [{ text: 'a' }], /:1: this model learns from rows such as .*"image"/],
    ['no picture file', [{ ...rows[0], image: noPicture }], /:1: .*Use PNG, JPEG or WebP/],
    ['a picture cut off', [{ ...rows[0], image: truncated }], /:1: /],
    [
      'a path that leads nowhere',
      [{ ...rows[0], image: 'none.png' }],
      /data:1: .*none\.png: (there is no such picture|the server answered 404)/,
    ],
  ])('refuses %s, naming the line', async (_, source, message) => {
    const run = runTraining(config({ data: { source }, evalData: null, evalFraction: 0 }), {
      store: createMemoryStore(),
      gpu,
    });
    await expect(run).rejects.toThrow(message);
    await expect(run).rejects.toBeInstanceOf(DatasetError);
  });
});
