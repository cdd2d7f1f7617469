import { formatBytes } from '@lapidary/trainer';
import type { CliContext } from '../cli-context.js';
import type { ModelInspection } from '../engine.js';
import { formatTable } from '../format-table.js';

export interface InspectValues {
  readonly tensors?: boolean;
  readonly json?: boolean;
}

/** What is in a model's files. @throws, when all is told, what makes the model one that cannot be used */
export async function inspect(model: string, values: InspectValues, context: CliContext): Promise<void> {
  const { problem, ...found } = await context.engine.inspectModel(model);
  if (values.json) context.out(`${JSON.stringify(found)}\n`);
  else print(found, values, context);
  if (problem !== null) throw problem;
}

function print(found: Omit<ModelInspection, 'problem'>, { tensors }: InspectValues, context: CliContext): void {
  for (const notice of found.notices) context.err(`Note: ${notice}\n`);
  const byType = new Map<string, { count: number; bytes: number }>();
  for (const { dtype, bytes } of found.tensors) {
    const sum = byType.get(dtype) ?? { count: 0, bytes: 0 };
    byType.set(dtype, { count: sum.count + 1, bytes: sum.bytes + bytes });
  }
  context.out(
    `${formatTable([
      ['Source', found.source],
      ['Format', found.format],
      ['Family', found.family],
      ['Parameters', found.parameters.toLocaleString('en')],
      ['Size', formatBytes(found.bytes)],
      ...[...byType].map(([dtype, { count, bytes }]) => [dtype, `${count} tensors, ${formatBytes(bytes)}`]),
      ...Object.entries(found.config).map(([key, value]) => [key, String(value)]),
    ])}\n`,
  );
  if (tensors)
    context.out(
      `\n${formatTable(found.tensors.map(({ name, dtype, shape, bytes }) => [name, dtype, `[${shape.join(', ')}]`, formatBytes(bytes)]))}\n`,
    );
}
