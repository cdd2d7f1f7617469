import type { DeviceProfile } from '@lapidary/gpu';
import type { ChoiceStore } from './choice-store.js';

/** Goes up when kernels change so much that older measurements say nothing. */
const version = 2;
const format = 'lapidary-kernel-choices';

/** What was once measured of a product. */
export interface KeptChoice {
  readonly variant: string;
  /** Of each variant that was measured. */
  readonly nanoseconds: Readonly<Record<string, number>>;
}

/** What measurements hold for: the adapter, with its driver's version where it tells it, and how shaders run on it. */
export function deviceKey({ adapter, features, subgroupSize, matmulPrecision }: DeviceProfile): string {
  const { backend, vendor, architecture, device, description } = adapter;
  const subgroups = `subgroups ${subgroupSize.min} to ${subgroupSize.max}`;
  const key = [backend, vendor, architecture, device, description, subgroups, [...features].sort().join(' ')];
  return [...key, ...(matmulPrecision === 'float16' ? ['float16 products'] : [])].join('; ');
}

/** What is kept of a device. What cannot be read, or is something else, counts as nothing, with a notice. */
export async function readChoices(
  store: ChoiceStore,
  device: string,
  notice: (message: string) => void,
): Promise<Map<string, KeptChoice>> {
  try {
    const text = await store.read(nameOf(device));
    return text === undefined ? new Map() : parse(text, device);
  } catch (error) {
    notice(`The kernels chosen before (${store.location}) are passed over: ${messageOf(error)}.`);
    return new Map();
  }
}

/** Adds to what is kept of a device. Where that fails there is a notice, and nothing else. */
export async function keepChoices(
  store: ChoiceStore,
  device: string,
  choices: ReadonlyMap<string, KeptChoice>,
  notice: (message: string) => void,
): Promise<void> {
  // Read again: another process may have added its own in the meantime.
  const all = new Map([...(await readChoices(store, device, () => undefined)), ...choices]);
  const kept = { format, version, device, choices: Object.fromEntries(all) };
  try {
    await store.write(nameOf(device), `${JSON.stringify(kept, null, 1)}\n`);
  } catch (error) {
    notice(
      `The choice of kernels cannot be kept (${store.location}) and is made again next time: ${messageOf(error)}.`,
    );
  }
}

function parse(text: string, device: string): Map<string, KeptChoice> {
  const found = JSON.parse(text) as Partial<Record<'format' | 'version' | 'device' | 'choices', unknown>> | null;
  if (found?.format !== format) throw new Error('there is something else');
  if (found.version !== version) return new Map();
  if (found.device !== device) throw new Error(`they are of another device, ${String(found.device)}`);
  const entries = Object.entries(found.choices as Record<string, unknown>).filter(isWhole);
  return new Map(entries);
}

function isWhole(entry: [string, unknown]): entry is [string, KeptChoice] {
  const { variant, nanoseconds } = (entry[1] ?? {}) as Partial<KeptChoice>;
  return (
    typeof variant === 'string' &&
    typeof nanoseconds === 'object' &&
    Object.values(nanoseconds ?? {}).every((time) => typeof time === 'number')
  );
}

/** A file name: what people know the device by, and a hash (FNV-1a) of all that it is. */
function nameOf(device: string): string {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(device)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  const words = device.split('; ').slice(1, 4).filter(Boolean).join('-');
  const name = words.replace(/[^\w.]+/g, '-').slice(0, 60);
  return `${name}-${hash.toString(16).padStart(8, '0')}`;
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error)).replace(/\.$/, '');
