import type { CliContext } from '../cli-context.js';
import { UsageError } from '../usage-error.js';

export interface ExportValues {
  readonly out?: string;
  readonly model?: string;
  readonly best?: boolean;
  readonly json?: boolean;
}

/** Makes an adapter, or a model, of a checkpoint: of the newest or the best of a run's folder, or of the one that is named. */
export async function exportCheckpoint(run: string, values: ExportValues, context: CliContext): Promise<void> {
  const { out, model } = values;
  if (!out)
    throw new UsageError({
      message: '--out must be given.',
      hint: 'It names the folder that the adapter, or the model, is written into.',
    });
  const place = placeOf(run);
  if (values.best && place.step !== null)
    throw new UsageError({
      message: `--best takes a run's folder, but ${run} names a checkpoint.`,
      hint: 'Leave out one or the other.',
    });
  const { step, files, notices } = await context.engine.exportCheckpoint({
    ...place,
    ...(values.best && { step: 'best' }),
    out,
    model: model ?? null,
  });
  for (const notice of notices) context.err(`Note: ${notice}\n`);
  if (values.json) context.out(`${JSON.stringify({ step, files, out })}\n`);
  else context.out(`Checkpoint ${step} is in ${out}: ${files.join(', ')}\n`);
}

/** The folder of a run, and the step where a checkpoint is named: `run/checkpoints/step-00000012.json`. */
function placeOf(run: string): { readonly run: string; readonly step: number | null } {
  const [, folder, step] =
    /^(.*?)[/\\]?checkpoints[/\\]step-(\d+)(?:\.json|\.[0-9a-f]+\.safetensors)?$/.exec(run) ?? [];
  return step === undefined ? { run, step: null } : { run: folder || '.', step: Number(step) };
}
