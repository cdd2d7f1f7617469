import type { CliContext } from '../cli-context.js';
import { formatTable } from '../format-table.js';
import { UsageError } from '../usage-error.js';

export interface DoctorValues {
  readonly json?: boolean;
}

const words = { fine: 'ok', slow: 'note', broken: 'PROBLEM' } as const;

/** Says what this machine has, and what to do where something is amiss. @throws UsageError where training cannot work */
export async function doctor(values: DoctorValues, context: CliContext): Promise<void> {
  const findings = await context.engine.diagnose(context.signal);
  const broken = findings.filter(({ state }) => state === 'broken');
  if (values.json) context.out(`${JSON.stringify({ canTrain: broken.length === 0, findings })}\n`);
  else {
    context.out(`${formatTable(findings.map(({ name, state, found }) => [words[state], name, found]))}\n`);
    for (const { name, advice } of findings) if (advice !== null) context.out(`\n${name}: ${advice}\n`);
  }
  if (broken.length > 0)
    throw new UsageError({
      message: `Training cannot work here: ${broken.map(({ name }) => name).join(', ')}.`,
      hint: broken.map(({ advice }) => advice ?? '').join('\n'),
    });
}
