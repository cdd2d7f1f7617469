import { ArrayShapesError, ConfigError, modelOf, paligemma, paliGemmaPresets, type ModelFamily } from '@lapidary/gemma';
import type { DType } from '@lapidary/kernels';
import { describe, expect, it } from 'vitest';
import { fixtureSources, modelSources } from '../../../../test/support/fixture-sources.js';
import { pebble } from '../../../../test/support/pebble-family.js';
import { sameBytes } from '../../../../test/support/same-bytes.js';
import { dequantise } from '../dtype/dequantise.js';
import { bufferSource } from '../source/byte-source.js';
import { WeightFileError, WeightShapeError } from '../errors.js';
import { hfModelFiles } from '../layout/export.js';
import { memorySink } from '../testing/memory-sink.js';
import { modelWeightLoader } from './model-weight-loader.js';
import { gemmaWeightLoader, paliGemmaWeightLoader, type PaliGemmaWeightLoaderOptions } from '../registry.js';

async function valuesOf(options: PaliGemmaWeightLoaderOptions, dtype: DType | 'stored' = 'f32', chunkBytes = 3000) {
  const weights = await paliGemmaWeightLoader(options).open();
  const targets = new Map(
    [...weights.entries].map(([path, e]) => [path, { shape: e.shape, dtype: dtype === 'stored' ? e.dtype : dtype }]),
  );
  const { sink, params, largest } = memorySink();
  const report = await weights.load(targets, sink, { chunkBytes });
  await weights.close();
  expect(largest()).toBeLessThanOrEqual(chunkBytes);
  return { weights, report, params };
}

describe.each(['paligemma1-tiny', 'paligemma2-tiny'])('%s', (name) => {
  it('is the same from big_vision’s npz and from safetensors, byte for byte', async () => {
    const hf = await valuesOf({ from: await modelSources(name) });
    const npz = await valuesOf({ from: await fixtureSources(`npz/${name}.npz`) });
    expect(npz.weights.format).toBe('npz');
    expect(hf.report.converted).toEqual([]);
    expect([...npz.params.keys()].sort()).toEqual(hf.weights.model.params.map(({ path }) => path).sort());
    const { vocabSize: official, ...text } = npz.weights.config.text;
    const { vocabSize: _, ...hfText } = hf.weights.config.text;
    expect({ ...npz.weights.config, text }).toMatchObject({
      vision: hf.weights.config.vision,
      text: {
        ...hfText,
        finalLogitSoftcap: null,
        attnLogitSoftcap: text.attnLogitSoftcap,
        maxPositionEmbeddings: 8192,
        queryPreAttnScalar: text.queryPreAttnScalar,
      },
    });
    for (const [path, bytes] of npz.params) {
      const other = hf.params.get(path)!;
      // Hugging Face's table has filler rows after the official words.
      const rows = path === 'language.embedTokens.weight' ? official * text.hiddenSize * 4 : other.length;
      expect(sameBytes(bytes, other.subarray(0, rows)), path).toBe(true);
    }
  });
});

it('looks for files beside the whole model before those of a part, and first where it is told to', async () => {
  const file = (text: string) => bufferSource('tokenizer.json', new TextEncoder().encode(text));
  const from = [...(await modelSources('paligemma1-tiny')), file('whole')];
  // Its own decoder, as files of a Gemma.
  const { weights: whole, params } = await valuesOf({ from });
  const text = modelOf(whole.config.text);
  const files = hfModelFiles(
    text,
    new Map(
      text.params.map(({ path, shape }) => [path, { dtype: 'f32', shape, bytes: params.get(`language.${path}`)! }]),
    ),
  );
  const pieces: number[] = [];
  for await (const piece of files['model.safetensors']) pieces.push(...piece);
  const decoder = [
    bufferSource('config.json', files['config.json']),
    bufferSource('model.safetensors', Uint8Array.from(pieces)),
    file('decoder'),
    bufferSource('only-there.txt', new Uint8Array(1)),
  ];
  const read = async (options: Partial<PaliGemmaWeightLoaderOptions>, name = 'tokenizer.json') => {
    const weights = await paliGemmaWeightLoader({ from, decoder, ...options }).open();
    const text = await weights.readText(name);
    await weights.close();
    return text;
  };
  expect(await read({})).toBe('whole');
  expect(await read({ tokenizer: [file('told')] })).toBe('told');
  expect(await read({}, 'only-there.txt')).toBeDefined();
});

it('reads f16 and bf16 npz files as they are', async () => {
  const { params: exact } = await valuesOf({ from: await fixtureSources('npz/paligemma1-tiny.npz') });
  for (const dtype of ['f16', 'bf16'] as const) {
    const { weights, params, report } = await valuesOf(
      { from: await fixtureSources(`npz/paligemma1-tiny.${dtype}.npz`) },
      'stored',
    );
    expect([...weights.entries.values()].every((entry) => entry.dtype === dtype)).toBe(true);
    // The layers of one array are its own: none is converted, some have their axes reordered.
    expect(report.converted.every(({ from: was, to }) => was === to)).toBe(true);
    const { params: rounded } = await valuesOf({ from: await fixtureSources('npz/paligemma1-tiny.npz') }, dtype);
    for (const [path, bytes] of params) {
      expect(sameBytes(bytes, rounded.get(path)!), path).toBe(true);
      expect(dequantise(dtype, bytes)).toHaveLength(exact.get(path)!.length / 4);
    }
  }
});

it('knows the names of every generation', async () => {
  const { params: plain } = await valuesOf({ from: await modelSources('paligemma1-tiny') });
  for (const era of ['v4-hub', 'v4.52', 'v5']) {
    const folder = 'models/paligemma1-tiny-names';
    const from = await fixtureSources(`${folder}/config.json`, `${folder}/${era}.safetensors`);
    const { params } = await valuesOf({ from });
    expect(params).toEqual(plain);
  }
});

it('is found by the loader of any model', async () => {
  for (const [from, family] of [
    [await modelSources('paligemma2-tiny'), 'paligemma'],
    [await fixtureSources('npz/paligemma2-tiny.npz'), 'paligemma'],
    [await modelSources('gemma2-tiny'), 'gemma2'],
  ] as const) {
    const weights = await modelWeightLoader({ from }).open();
    expect(weights.config.family).toBe(family);
    await weights.close();
  }
});

it('takes a text-only Gemma as its decoder: what is fresh is named, and only where it is allowed', async () => {
  const paligemma = await paliGemmaWeightLoader({ from: await modelSources('paligemma1-tiny') }).open();
  const gemma = await modelWeightLoader({ from: await modelSources('gemma1-tiny') }).open();
  const { config } = paligemma;
  const text = { ...(gemma.config as typeof config.text), vocabSize: 120 };
  const grown = { ...config, text };
  await paligemma.close();
  const weights = await paliGemmaWeightLoader({ decoder: await modelSources('gemma1-tiny'), config: grown }).open();
  const targets = new Map(modelOf(grown).params.map(({ path, shape }) => [path, { shape, dtype: 'f32' as const }]));
  const { sink, params, initialised } = memorySink();
  await expect(weights.load(targets, sink)).rejects.toThrow(/vision\.patchEmbed\.weight/);
  await expect(weights.load(targets, sink, { allowMissing: /^(vision|projector)\./ })).rejects.toThrow(
    /1 parameters have no weights in the file:\n +language\.embedTokens\.weight\[99:\]/,
  );
  expect(params.size).toBe(0);
  const report = await weights.load(targets, sink, { allowMissing: /^(vision|projector)\.|embedTokens/ });
  await weights.close();
  expect(report.initialised).toContain('language.embedTokens.weight[99:]');
  expect(report.initialised.filter((path) => path.startsWith('language.'))).toHaveLength(1);
  expect(initialised.has('vision.posEmbed.weight')).toBe(true);
  expect(params.get('language.embedTokens.weight')).toHaveLength(99 * text.hiddenSize * 4);
  const fresh = [...targets]
    .filter(([path]) => !path.startsWith('language.'))
    .reduce((n, [, t]) => n + t.shape.reduce((a, b) => a * b, 4), 0);
  expect(report.freshBytes).toBe(fresh + (120 - 99) * text.hiddenSize * 4);

  const wrong = paliGemmaWeightLoader({ decoder: await modelSources('gemma2-tiny'), config: grown }).open();
  await expect(wrong).rejects.toThrow(/is a gemma2, but this PaliGemma has a gemma1/);
  expect(() => paliGemmaWeightLoader({})).toThrow(TypeError);
});

it('refuses files that are no PaliGemma, or another one', async () => {
  const open = (options: PaliGemmaWeightLoaderOptions) => paliGemmaWeightLoader(options).open();
  await expect(open({ from: await fixtureSources('npz/bad/pickled.npz') })).rejects.toBeInstanceOf(WeightFileError);
  await expect(open({ from: await fixtureSources('npz/bad/fortran.npz') })).rejects.toThrow(/Fortran/i);
  await expect(open({ from: await fixtureSources('npz/bad/truncated.npz') })).rejects.toBeInstanceOf(WeightFileError);
  await expect(open({ from: await fixtureSources('npz/bad/compressed.npz') })).rejects.toThrow(/compress/);
  await expect(
    open({ from: await fixtureSources('npz/paligemma1-tiny.npz'), config: paliGemmaPresets['paligemma-3b-224'] }),
  ).rejects.toBeInstanceOf(WeightShapeError);
  // One layer fewer than the stacked arrays hold.
  const { config } = await open({ from: await fixtureSources('npz/paligemma1-tiny.npz') });
  const fewer = { ...config, vision: { ...config.vision, numLayers: config.vision.numLayers - 1 } };
  await expect(open({ from: await fixtureSources('npz/paligemma1-tiny.npz'), config: fewer })).rejects.toThrow(
    /takes only/,
  );
});

it('says which files and parts a loader cannot take', async () => {
  const gguf = await fixtureSources('gguf/gemma3-tiny-f32.gguf');
  const npz = await fixtureSources('npz/paligemma1-tiny.npz');
  const hf = await modelSources('paligemma1-tiny');
  await expect(paliGemmaWeightLoader({ from: gguf }).open()).rejects.toThrow(
    /format gguf, in which paligemma cannot be read, but gemma1, gemma2, gemma3, gemma4 can: .* as a part \(a decoder, say\)/,
  );
  const refused = gemmaWeightLoader({ from: npz }).open();
  await expect(refused).rejects.toBeInstanceOf(WeightFileError);
  await expect(refused).rejects.toThrow(
    /npz, in which gemma1, gemma2, gemma3, gemma4 cannot be read, but paligemma can: /,
  );
  await expect(gemmaWeightLoader({ from: hf }).open()).rejects.toThrow(
    /"paligemma".*Supported: gemma, gemma2, gemma3_text, gemma3, gemma4_text, gemma4, gemma4_unified_text, gemma4_unified\./,
  );
  await expect(paliGemmaWeightLoader({ from: await modelSources('gemma1-tiny') }).open()).rejects.toThrow(
    /"gemma".*Supported: paligemma\./,
  );
  const encoder = modelWeightLoader({ from: hf, parts: { encoder: gguf } });
  await expect(encoder.open()).rejects.toThrow(/has no part 'encoder'; it has decoder/);
  expect(() => modelWeightLoader({ parts: { decoder: gguf } })).toThrow(TypeError);
});

it('reads an npz by the family whose arrays it has', async () => {
  const from = await fixtureSources('npz/paligemma1-tiny.npz');
  const stone = (problem?: Error): ModelFamily => ({
    ...pebble,
    id: 'stone',
    npz: {
      read() {
        if (problem) throw problem;
        return { ...paliGemmaPresets['paligemma-3b-224'], family: 'stone' };
      },
    },
    describe: (config) => ({ ...modelOf(paliGemmaPresets['paligemma-3b-224']), config }),
  });
  const notStone = new ArrayShapesError('stone', undefined, 'there is no stone.');
  const open = (...families: ModelFamily[]) => modelWeightLoader({ from, families }).open();
  const { config } = await open(paligemma);
  expect((await open(stone(notStone), paligemma)).config).toEqual(config);
  expect((await open(paligemma, stone())).config).toEqual(config);
  // Whatever else goes wrong is no reason to try another one.
  await expect(open(stone(new ConfigError('size', 0, 'too small')), paligemma)).rejects.toThrow(/size is 0, too small/);
  await expect(open(stone(notStone), stone(notStone))).rejects.toMatchObject({
    name: 'WeightNamesError',
    missing: ['stone'],
    message: expect.stringMatching(/there is no stone\. there is no stone\.$/) as string,
  });
  const wrong = new ArrayShapesError('stone', [2], 'has one axis.');
  await expect(open(stone(wrong))).rejects.toMatchObject({ name: 'WeightFileError', tensor: 'stone', cause: wrong });
});

it('changes the last soft-cap where it is asked to', async () => {
  const from = await modelSources('paligemma2-tiny');
  for (const finalLogitSoftcap of [null, 7]) {
    const { config, model } = await paliGemmaWeightLoader({ from, finalLogitSoftcap }).open();
    expect(config.text.finalLogitSoftcap).toBe(finalLogitSoftcap);
    expect(model.config).toBe(config);
  }
  const negative = paliGemmaWeightLoader({ from, finalLogitSoftcap: -30 }).open();
  await expect(negative).rejects.toThrow(/finalLogitSoftcap is -30, not a positive number/);
});
