import type { DType } from '@lapidary/kernels/dtype';
import type { Model, ParamSpec } from '../families/family.js';

/** What the rows of a table that stays on the host (`ParamSpec.isOnHost`) are like. */
export interface HostRowsType {
  /** Of its file. */
  readonly dtype: DType;
  /** Values of a row. */
  readonly width: number;
}

/** Rows of a table that stays on the host, read when they are needed. */
export interface HostRows extends HostRowsType {
  /** Of the parameter. */
  readonly path: string;
  /** How many there are. */
  readonly rows: number;
  /**
   * The rows of these ids, one after the other, in the bytes of their dtype. The caller may keep them.
   * @throws what the file throws, also for an id that has no row, and for a row whose values are not finite
   */
  read(ids: Int32Array, signal?: AbortSignal): Promise<Uint8Array>;
}

/** A model's table that stays on the host; undefined where there is none. */
export function hostParamOf({ params }: Pick<Model, 'params'>): ParamSpec | undefined {
  return params.find(({ isOnHost }) => isOnHost);
}

/** Its rows where a model is only planned: none is ever read. `dtype` is that of its file. */
export function plannedHostRows(model: Pick<Model, 'params' | 'title'>, dtype: DType): HostRows | undefined {
  const spec = hostParamOf(model);
  if (spec === undefined) return undefined;
  const [rows = 0, width = 0] = spec.shape;
  const read = () => Promise.reject(new TypeError(`this ${model.title} was planned without its files`));
  return { path: spec.path, dtype, rows, width, read };
}

/** @throws TypeError where a model has a table that stays on the host, and its rows are not given */
export function needHostRows(model: Pick<Model, 'params' | 'title'>, rows: HostRowsType | undefined): void {
  const spec = hostParamOf(model);
  if (spec !== undefined && rows === undefined)
    throw new TypeError(
      `a ${model.title} reads rows of ${spec.path} from its file: give \`hostRows\` of the opened weights`,
    );
}
