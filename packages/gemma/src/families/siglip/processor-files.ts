import { ConfigError } from '../../config/errors.js';
import { type Fields, isFields, watchFields } from '../../config/fields.js';
import type { Tell } from '../../config/hf-fields.js';
import type { HfFiles } from '../layout.js';

/** How pictures are prepared here, where a file may say otherwise. */
export interface PreparedPictures {
  /** Pixels a side. */
  readonly imageSize: number;
  /** Pillow's number of the way they are resized: 2 bilinear, 3 bicubic. */
  readonly resample: number;
  readonly tokensPerImage: number;
}

/** Files of transformers that say it: the image processor's own, and since version 5 that of the whole processor. */
const ownFile = 'preprocessor_config.json';
const wholeFile = 'processor_config.json';

/** Fields that change no pixel, or only beside others that are refused. */
const harmless = [
  ...['processor_class', 'feature_extractor_type', 'data_format', 'input_data_format'],
  ...['return_tensors', 'device', 'disable_grouping', 'default_to_square', 'crop_size', 'size_divisor', 'pad_size'],
  ...['pan_and_scan_min_crop_size', 'pan_and_scan_max_num_crops', 'pan_and_scan_min_ratio_to_activate'],
];

/** Classes whose defaults are what is done here. */
const ownClasses = /^(Siglip|Gemma3)ImageProcessor(Fast|Pil)?$/;

/** Reads the files; see `HfReader.gather`. */
export async function gatherProcessor(readJson: (file: string) => Promise<unknown>): Promise<HfFiles> {
  const found = await Promise.all([ownFile, wholeFile].map(async (file) => [file, await readJson(file)] as const));
  return Object.fromEntries(found.filter(([, json]) => json !== undefined));
}

/**
 * Compares what the files say of pictures with how they are prepared here; fields that are left out have the defaults of their class, which
 * are the same. `tell` is told of fields that are not known.
 * @throws ConfigError naming file and field
 */
export function checkProcessor(files: HfFiles, prepared: PreparedPictures, tell?: Tell): void {
  const own = files[ownFile];
  if (own !== undefined) checkOne(ownFile, own, prepared, tell);
  const whole = files[wholeFile];
  const nested = isFields(whole) ? whole['image_processor'] : undefined;
  if (nested !== undefined && nested !== null) checkOne(`${wholeFile}: image_processor`, nested, prepared, tell);
}

function checkOne(where: string, json: unknown, prepared: PreparedPictures, tell: Tell | undefined): void {
  if (!isFields(json)) throw new ConfigError(where, json, 'not an object');
  const { fields, unread } = watchFields(json);
  const { imageSize, resample, tokensPerImage } = prepared;
  const need = (field: string, isSo: (value: unknown) => boolean, problem: string) => {
    const value = fields[field];
    if (value !== undefined && value !== null && !isSo(value))
      throw new ConfigError(
        `${where}: ${field}`,
        value,
        `${problem}. Pictures would be others than the model expects. If you want them as they are made here, change the field in the file`,
      );
  };
  need(
    'image_processor_type',
    (value) => ownClasses.test(String(value)),
    'whose ways with pictures are not known here',
  );
  for (const field of ['do_resize', 'do_rescale', 'do_normalize', 'do_convert_rgb'])
    need(field, (value) => value === true, 'but that is done here');
  for (const field of ['do_center_crop', 'do_pad', 'do_pan_and_scan'])
    need(field, (value) => value === false, 'but that is not done here');
  need('size', (value) => isSide(value, imageSize), `but the tower takes ${imageSize} × ${imageSize} pixels`);
  need('resample', (value) => value === resample, `but pictures are resized by Pillow's way ${resample} here`);
  need('rescale_factor', (value) => isNear(value, 1 / 255), 'but values are divided by 255 here');
  for (const field of ['image_mean', 'image_std'])
    need(field, (value) => isHalves(value), 'but it is 0.5 for each channel here');
  need('image_seq_length', (value) => value === tokensPerImage, `but a picture takes ${tokensPerImage} tokens`);
  const strange = unread().filter((field) => !harmless.includes(field));
  if (strange.length > 0) tell?.(`${where} says ${strange.join(', ')}, which is not known and left out of account.`);
}

const isNear = (value: unknown, wanted: number) => typeof value === 'number' && Math.abs(value / wanted - 1) < 1e-6;

/** One number for all channels, or one for each. */
const isHalves = (value: unknown) => [value].flat().every((each) => isNear(each, 0.5));

function isSide(value: unknown, side: number): boolean {
  if (!isFields(value)) return value === side;
  const { height, width }: Fields = value;
  return height === side && width === side;
}
