import type { AdapterLoader, JsonValue, WeightLoader } from '@lapidary/weights';
import type { ConfigEcho } from './config-echo.js';
import { resolveTrainConfig } from './resolve-train-config.js';
import type { DataSource } from '../data/data-options.js';
import type { ResolvedTrainConfig, TrainConfig } from './train-config.js';

/** What opens the files that an echo only names. */
export interface EchoLoaders {
  readonly weightLoader: WeightLoader;
  /** The rows. Default: none, as for what says only what the model is. */
  readonly source?: DataSource;
  /** Default: as a config's `adapter`. */
  readonly openAdapter?: ((description: string | undefined) => AdapterLoader) | undefined;
}

/**
 * The config that an echo was made of, as far as that says what the model of a run is, and with rows what it learns.
 * @throws ConfigError for one that was changed by hand into something else
 */
export function configFromEcho(
  echo: ConfigEcho,
  { weightLoader, openAdapter, source }: EchoLoaders,
): ResolvedTrainConfig {
  const {
    adapter: start,
    lora,
    freeze,
    trainable,
    allowMissing,
    paramGroups,
    data,
    evalData,
    evalFraction,
    ...rest
  } = echo;
  const fields = {
    ...rest,
    adapter: isThere(start) && openAdapter ? openAdapter(typeof start === 'string' ? start : undefined) : start,
    ...patterns({ freeze, trainable, allowMissing }),
    ...(Array.isArray(paramGroups) && {
      paramGroups: paramGroups.map((group) => (isRecord(group) ? patterns(group) : group)),
    }),
    lora: isRecord(lora) ? adapter(lora) : lora,
    weightLoader,
    data: source === undefined ? { source: 'none' } : { ...(isRecord(data) && data), source },
    evalData: null,
    // Rows to evaluate on that have a source of their own are not read.
    evalFraction: source === undefined || (evalData ?? null) !== null ? 0 : evalFraction,
    // What is said of both is of the folder's next run.
    resume: false,
    resumeFrom: null,
    overwrite: false,
  };
  return resolveTrainConfig(fields as unknown as TrainConfig);
}

function adapter({ targets, modulesToSave, ...rest }: { readonly [key: string]: JsonValue }): Record<string, unknown> {
  const fields = { ...rest, ...patterns({ modulesToSave }) };
  return targets === 'all' || targets === undefined ? fields : { ...fields, targets: regExpOf(targets) };
}

/** Lists of patterns with their RegExps, which are written as text, made again. */
function patterns(fields: { readonly [key: string]: JsonValue | undefined }): Record<string, unknown> {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.map(([key, value]) => [key, Array.isArray(value) ? value.map(regExpOf) : value]));
}

/** No path of a parameter begins with a slash. */
function regExpOf(value: JsonValue): unknown {
  const [, source, flags] = (typeof value === 'string' && /^\/(.+)\/([a-z]*)$/s.exec(value)) || [];
  if (source === undefined) return value;
  try {
    return new RegExp(source, flags);
  } catch {
    return value;
  }
}

const isThere = (value: JsonValue | undefined) => value !== undefined && value !== null;

function isRecord(value: JsonValue | undefined): value is { readonly [key: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
