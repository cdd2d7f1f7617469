import { type ModelLocation, readPeftAdapter, type WeightLoader } from '@lapidary/weights';
import type { FileStore } from '../../store/file-store.js';
import { compareBaseWeights, readBaseWeights } from '../base-weights.js';
import { openModel, pathForPictures, textPartOf } from '../prepare/open-model.js';
import { checkFree, type WrittenForm, writeForm } from './export-form.js';

/** Which adapter becomes what, and where. */
export interface ExportAdapterOptions {
  /** In PEFT's form. */
  readonly adapter: ModelLocation;
  readonly base: WeightLoader;
  readonly out: FileStore;
  readonly form: WrittenForm;
  /** Takes any base that its shapes fit, though it was trained over other weights. Default false. */
  readonly anyBase?: boolean | undefined;
}

/**
 * An adapter of whichever program in another form: merged with its base, or for llama.cpp. Without a device.
 * @throws BaseMismatchError for another base than the adapter was trained over; AdapterError, ExportError, NonFiniteParameterError, ConfigError; what the loader throws
 */
export async function exportAdapter({
  adapter: from,
  base,
  out,
  form,
  anyBase = false,
}: ExportAdapterOptions): Promise<{ readonly files: readonly string[]; readonly notices: readonly string[] }> {
  await checkFree(out, form);
  const whole = await openModel(base);
  try {
    const adapter = await readPeftAdapter(from, { model: whole.model });
    // What it does not change is passed on as it is.
    const seeing = pathForPictures(whole.model, [...adapter.updates.keys(), ...adapter.params.keys()]);
    const open = seeing === undefined ? textPartOf(whole) : whole;
    const notices = [...open.weights.notices];
    const onNotice = (notice: string) => notices.push(notice);
    if (adapter.baseWeights && !anyBase && form.to !== 'gguf-lora') {
      const name = typeof from === 'string' ? from : 'that is exported';
      const notice = compareBaseWeights(adapter.baseWeights, await readBaseWeights(open.weights), name);
      if (notice !== null) notices.push(notice);
    }
    return { files: await writeForm(out, { open, adapter, params: null }, form, onNotice), notices };
  } finally {
    await whole.weights.close();
  }
}
