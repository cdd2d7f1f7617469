import { ConfigError, describeValue, type ConfigProblem } from '@lapidary/trainer';
import type { CliContext } from '../cli-context.js';
import type { ExportRequest, WantedForm } from '../engine.js';
import { readBytes } from '../read-bytes.js';
import { UsageError } from '../usage-error.js';
import { openTarget, pushTo, type PushValues } from './push-to-hub.js';

export interface ExportValues extends PushValues {
  readonly out?: string;
  readonly model?: string;
  readonly anyBase?: boolean;
  readonly best?: boolean;
  readonly to?: string;
  readonly dtype?: string;
  readonly shardSize?: string;
  readonly quant?: string;
  readonly json?: boolean;
}

/**
 * Makes an adapter, a model or a file for llama.cpp of a checkpoint (of the newest or the best of a run's folder, or of the one that is
 * named) or of an adapter.
 */
export async function exportTo(run: string, values: ExportValues, context: CliContext): Promise<void> {
  if (values.pushToHub !== undefined && !makesFiles(run, values)) return pushExported(run, values, context);
  const place = placeOf(run);
  if (values.best && place.step !== null)
    throw new UsageError({
      message: `--best takes a run's folder, but ${run} names a checkpoint.`,
      hint: 'Leave out one or the other.',
    });
  const request: ExportRequest = {
    run: place.run,
    step: values.best ? 'best' : place.step,
    model: values.model ?? null,
    anyBase: values.anyBase,
    ...readForm(values),
  };
  const { form } = request;
  const opened = await openTarget(values, context);
  const { step: found, files, notices } = await context.engine.export(request);
  const { out } = values;
  for (const notice of notices) context.err(`Note: ${notice}\n`);
  const exported = {
    folder: request.out,
    files,
    run: found === null ? null : place.run,
    step: found,
    base: request.model,
  };
  const pushed = opened && (await pushTo(opened, exported, out!, context));
  if (values.json) context.out(`${JSON.stringify({ step: found, files, out, ...(pushed && { pushed }) })}\n`);
  else if (form.to === 'trl')
    context.out(
      `The run, from ${found === 0 ? 'its beginning' : `step ${found}`} on, is in ${out}: ${files.join(', ')}\nTrain it there with: accelerate launch train.py\n`,
    );
  else {
    const what = found === null ? `${run} with its base` : `Checkpoint ${found}`;
    // A GGUF is one file, and named by --out.
    const where = files.length === 1 && out?.endsWith(files[0]!) ? out : `${out}: ${files.join(', ')}`;
    context.out(`${what} is in ${where}\n`);
  }
}

/** Whether something is exported first: `--push-to-hub` alone pushes what is there. */
function makesFiles(run: string, { out, model, best, to, dtype, shardSize, quant }: ExportValues): boolean {
  const isAsked = [out, model, best, to, dtype, shardSize, quant].some((value) => value !== undefined);
  return isAsked || placeOf(run).step !== null;
}

/** Pushes what an export, or the run's end, left. */
async function pushExported(place: string, values: ExportValues, context: CliContext): Promise<void> {
  const exported = await context.engine.findExported(place);
  const opened = await openTarget(values, context);
  const pushed = opened && (await pushTo(opened, exported, place, context));
  if (values.json) context.out(`${JSON.stringify({ step: exported.step, files: exported.files, pushed })}\n`);
}

/** The folder of a run, and the step where a checkpoint is named: `run/checkpoints/step-00000012.json`. */
function placeOf(run: string): { readonly run: string; readonly step: number | null } {
  const [, folder, step] =
    /^(.*?)[/\\]?checkpoints[/\\]step-(\d+)(?:\.json|\.[0-9a-f]+\.safetensors)?$/.exec(run) ?? [];
  return step === undefined ? { run, step: null } : { run: folder || '.', step: Number(step) };
}

const dtypes = [
  ['float32', 'f32'],
  ['bfloat16', 'bf16'],
  ['float16', 'f16'],
] as const;
const quants = ['f32', 'f16', 'bf16', 'q8_0', 'q4_0'] as const;
const loraTypes = ['f32', 'f16', 'bf16'] as const;
/** As transformers cuts checkpoints. */
const usualShard = 5e9;

/** Options that only some forms have. */
const someForms = [
  { name: 'dtype', flag: '--dtype', forms: ['merged'] },
  { name: 'shardSize', flag: '--shard-size', forms: ['merged'] },
  { name: 'quant', flag: '--quant', forms: ['gguf', 'gguf-lora'] },
] as const satisfies readonly {
  readonly name: keyof ExportValues;
  readonly flag: string;
  readonly forms: readonly WantedForm['to'][];
}[];

/** @throws ConfigError naming every option that is no such option, or has no meaning for this form; UsageError without --out */
function readForm(values: ExportValues): Pick<ExportRequest, 'out' | 'form'> {
  const { out, to = 'adapter', dtype, shardSize, quant } = values;
  const problems: ConfigProblem[] = [];
  const choice = <T extends string>(flag: string, text: string | undefined, all: readonly T[]): T | undefined => {
    const found = all.find((each) => each === text);
    if (text !== undefined && found === undefined)
      problems.push({ path: flag, found: describeValue(text), allowed: all.join(', ') });
    return found;
  };
  const form = choice('--to', to, ['adapter', 'merged', 'gguf', 'gguf-lora', 'trl']);
  for (const { name, flag, forms } of someForms) {
    const value = values[name];
    if (value === undefined || form === undefined || forms.some((each) => each === form)) continue;
    problems.push({ path: flag, found: describeValue(value), allowed: `only with --to ${forms.join(' or ')}` });
  }
  const shardBytes = shardSize === undefined ? usualShard : readBytes(shardSize);
  if (shardBytes === undefined || shardBytes < 1)
    problems.push({ path: '--shard-size', found: describeValue(shardSize), allowed: 'a size such as 5GB or 500MB' });
  const named = choice(
    '--dtype',
    dtype,
    dtypes.map(([name]) => name),
  );
  const stored = dtypes.find(([name]) => name === named)?.[1];
  const modelQuant = form === 'gguf' ? choice('--quant', quant, quants) : undefined;
  const loraType = form === 'gguf-lora' ? choice('--quant', quant, loraTypes) : undefined;
  const isFile = form === 'gguf' || form === 'gguf-lora';
  if (isFile && out && !/[^/\\]\.gguf$/i.test(out))
    problems.push({ path: '--out', found: describeValue(out), allowed: 'a file that ends in .gguf' });
  if (problems.length > 0) throw new ConfigError({ problems, subject: 'The command' });
  if (!out)
    throw new UsageError({
      message: '--out must be given.',
      hint: 'It names the folder that the adapter, or the model, is written into; of a GGUF the file.',
    });
  if (form === 'trl' && values.pushToHub !== undefined)
    throw new UsageError({
      message: '--push-to-hub takes what was trained, not a run for TRL.',
      hint: 'Its files hold your rows: push them yourself where you want that.',
    });
  if (form === 'trl') return { out, form: { to: 'trl' } };
  if (!isFile)
    return {
      out,
      form: form === 'merged' ? { to: form, dtype: stored, shardBytes } : { to: 'result' },
    };
  // Neither is a file without a name: that it ends in .gguf was checked.
  const at = Math.max(out.lastIndexOf('/'), out.lastIndexOf('\\'));
  const file = out.slice(at + 1);
  const place = { out: at < 0 ? '.' : out.slice(0, at) || '/' };
  if (form === 'gguf-lora') return { ...place, form: { to: form, file, type: loraType ?? 'f32' } };
  return { ...place, form: { to: form, file, quant: modelQuant ?? 'q8_0' } };
}
