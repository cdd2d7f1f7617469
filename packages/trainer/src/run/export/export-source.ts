import type { MergedAdapter, TensorData } from '@lapidary/weights';
import type { OpenModel } from '../prepare/open-model.js';
import { splitAdapter, valuesOf, type RunResult } from './export-run.js';

/** What is exported: a base with an adapter, or with all parameters of a model in its place. */
export interface ExportSource {
  readonly open: OpenModel;
  readonly adapter: MergedAdapter | null;
  /** Of a model that was trained without an adapter: every parameter. */
  readonly params: ReadonlyMap<string, TensorData> | null;
}

/** What a run ends with, as what can be merged. @throws ExportError where nothing was changed */
export async function exportSourceOf({
  open,
  plan,
  run,
  tensors: stored,
}: Omit<RunResult, 'onNotice'>): Promise<ExportSource> {
  if (run.lora === null) return { open, adapter: null, params: stored };
  const { tensors, params: saved } = await splitAdapter(stored, plan.lora);
  const params = new Map<string, Float32Array>();
  for (const [path, tensor] of saved) params.set(path, await valuesOf(tensor));
  return { open, adapter: { updates: plan.updates, tensors, params, splitsEmbedding: false }, params: null };
}
