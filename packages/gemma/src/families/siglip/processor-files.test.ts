import { expect, it } from 'vitest';
import { ConfigError } from '../../config/errors.js';
import { preprocessorConfig as gemma3Preprocessor } from '../gemma3-vision/pictures.js';
import { preprocessorConfig as paliGemmaPreprocessor } from '../paligemma/pictures.js';
import { so400m } from './config.js';
import { checkProcessor, gatherProcessor } from './processor-files.js';

const vision = so400m(896);
const gemma3 = { imageSize: 896, resample: 2, tokensPerImage: 256 };
const own = gemma3Preprocessor(vision, 256);
const check = (changes: Readonly<Record<string, unknown>>, told: string[] = []) =>
  checkProcessor({ 'preprocessor_config.json': { ...own, ...changes } }, gemma3, (notice) => told.push(notice));

it('takes what we write, what transformers writes, and what says less', () => {
  check({});
  check({ size: 896, image_mean: 0.5, do_convert_rgb: null, rescale_factor: 0.00392156862745098 });
  check({ size: undefined, resample: undefined, pan_and_scan_max_num_crops: 4 });
  checkProcessor({}, gemma3);
  checkProcessor(
    { 'processor_config.json': { image_processor: { ...own }, processor_class: 'Gemma3Processor' } },
    gemma3,
  );
  checkProcessor(
    { 'preprocessor_config.json': paliGemmaPreprocessor(so400m(224)) },
    { imageSize: 224, resample: 3, tokensPerImage: 256 },
  );
});

it.each<[string, unknown]>([
  ['do_resize', false],
  ['do_normalize', false],
  ['do_pan_and_scan', true],
  ['do_center_crop', true],
  ['size', { height: 896, width: 448 }],
  ['size', { shortest_edge: 896 }],
  ['resample', 3],
  ['rescale_factor', 1 / 127.5],
  ['image_mean', [0.48, 0.46, 0.41]],
  ['image_std', [0.5, 0.5, 1]],
  ['image_seq_length', 1024],
  ['image_processor_type', 'CLIPImageProcessor'],
])('refuses %s of %j by file and field', (field, value) => {
  expect(() => check({ [field]: value })).toThrow(ConfigError);
  expect(() => check({ [field]: value })).toThrow(`preprocessor_config.json: ${field}`);
  const nested = { 'processor_config.json': { image_processor: { ...own, [field]: value } } };
  expect(() => checkProcessor(nested, gemma3)).toThrow(`processor_config.json: image_processor: ${field}`);
});

it('tells of fields that nobody knows, and reads two files', async () => {
  const told: string[] = [];
  check({ do_something: 1 }, told);
  expect(told).toEqual([expect.stringMatching(/says do_something, which is not known/) as string]);
  expect(await gatherProcessor(async (file) => (file.startsWith('pre') ? own : undefined))).toEqual({
    'preprocessor_config.json': own,
  });
});
