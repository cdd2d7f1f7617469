import type { DeviceProfile } from '@lapidary/gpu';
import { foldWorkgroups, type Binding, type KernelCall, type Operand } from '../kernel-call.js';
import { shaderCall } from '../shader-call.js';
import { teamCall } from '../team.js';
import { BindingLimitError, bind } from '../windows.js';

/** Operands of `adafactor`. `grad` is f32, shaped as the parameter. */
export interface AdafactorKernelArgs<B> {
  /** f32 [batch, rows, columns], or [n]; updated in place, as are the moments. */
  readonly param: Operand<B>;
  readonly grad: Operand<B>;
  readonly moments: FactoredMoments<B> | VectorMoment<B>;
  /** f32 [8]: learningRate, ω = t^beta2Decay, 1/√t, eps1, eps2, d, weightDecay, clipNorm (≤ 0: no clipping). */
  readonly hyper: Operand<B>;
  /** f32 [1]: squared global norm of the gradients; if it is not finite nothing is updated. */
  readonly gradNormSquared: Operand<B>;
  /** Multiply the learning rate and the weight decay. */
  readonly learningRateScale: number;
  readonly weightDecayScale: number;
  /** Makes scratch memory: of matrices a 32nd of the parameter at most (unless they have few rows), of vectors 8 kB. */
  readonly workspace: (bytes: number) => Operand<B>;
}

/** Second moments of `batch` matrices, by their rows and columns. */
export interface FactoredMoments<B> {
  readonly batch: number;
  readonly rows: number;
  readonly columns: number;
  /** f32 [batch, rows] and [batch, columns]. */
  readonly row: Operand<B>;
  readonly col: Operand<B>;
}

/** Second moments of a vector, one for each element. */
export interface VectorMoment<B> {
  readonly n: number;
  /** f32 [n]. */
  readonly v: Operand<B>;
}

/** Rows whose squares one invocation adds up: few parts, so that the sums of all parts are small beside the parameter. */
const LEAST_PART_ROWS = 32;
const MOST_PARTS = 256;
/** Values of a part at most: well below the smallest binding that a device may have (2^25 values). */
const MOST_PART_VALUES = 1 << 24;
/** Elements whose norms one team takes, and how many chunks there are at most: one team adds them up. */
const LEAST_CHUNK = 1024;
const MOST_CHUNKS = 1024;
/** f32 values between places where a binding may begin. */
const ALIGNMENT = 64;

/**
 * One Adafactor update with global-norm clipping, in place (`shaders/optimizer/adafactor.wesl`, `adafactor_moments.wesl`): three
 * calls for a vector, five for matrices, more where a tensor is larger than a binding.
 * @throws BindingLimitError
 */
export function adafactor<B>(profile: DeviceProfile, args: AdafactorKernelArgs<B>): KernelCall<B>[] {
  const { moments } = args;
  if ('v' in moments) return update(profile, args, moments.n, undefined);
  const { batch, rows, columns, row, col } = moments;
  const parts = partsOf(moments);
  const part = args.workspace(batch * parts.count * columns * 4);
  const mean = args.workspace(batch * 4);
  const largest = Math.max(batch * rows, batch * columns, batch * parts.count * columns) * 4;
  const limit = profile.limits.maxStorageBufferBindingSize;
  if (largest > limit)
    throw new BindingLimitError(
      `adafactor: moments of [${batch}, ${rows}, ${columns}] take ${largest} bytes, more than a binding of ${limit} bytes`,
    );
  return [
    ...partialMoments(profile, args, moments, part),
    finishMoments(profile, args, moments, part, mean),
    ...update(profile, args, batch * rows * columns, { rows, columns, row, col, mean }),
  ];
}

function partsOf({ rows, columns }: { readonly rows: number; readonly columns: number }) {
  const wanted = Math.max(LEAST_PART_ROWS, Math.ceil(rows / MOST_PARTS));
  const partRows = Math.max(1, Math.min(wanted, Math.floor(MOST_PART_VALUES / columns)));
  return { partRows, count: Math.ceil(rows / partRows) };
}

/** The rows' moments, and sums of parts of the columns, in windows of whole parts. */
function partialMoments<B>(
  profile: DeviceProfile,
  { grad, hyper, gradNormSquared }: AdafactorKernelArgs<B>,
  { batch, rows, columns, row }: FactoredMoments<B>,
  part: Operand<B>,
): KernelCall<B>[] {
  const { partRows, count } = partsOf({ rows, columns });
  const limit = profile.limits.maxStorageBufferBindingSize;
  const firstRowOf = (p: number) => Math.floor(p / count) * rows + (p % count) * partRows;
  const fits = (first: number, end: number) => {
    const before = (firstRowOf(first) * columns) % ALIGNMENT;
    return ((firstRowOf(end) - firstRowOf(first)) * columns + before) * 4 <= limit;
  };
  const calls: KernelCall<B>[] = [];
  const all = batch * count;
  for (let first = 0, end: number; first < all; first = end) {
    end = first + 1;
    if (!fits(first, end))
      throw new BindingLimitError(
        `adafactor: ${partRows} rows of ${columns} values do not fit a binding of ${limit} bytes`,
      );
    if (fits(first, all)) end = all;
    else while (fits(first, end + 1)) end++;
    const firstRow = firstRowOf(first);
    const windowRows = firstRowOf(end) - firstRow;
    const gradStart = (firstRow * columns) % ALIGNMENT;
    const rowStart = firstRow % ALIGNMENT;
    const team = teamCall(profile, 'adafactor', windowRows);
    const group = team.variant === 'workgroup' ? 64 : 32;
    const rowGroups = team.variant === 'workgroup' ? windowRows : Math.ceil(windowRows / group);
    const columnGroups = Math.ceil(columns / group) * (end - first);
    calls.push(
      shaderCall('optimizer/adafactor_moments', {
        ...team,
        conditions: { ...team.conditions, PARTIAL: true },
        uniforms: {
          ...{ matrix_rows: rows, columns, part_rows: partRows, parts: count },
          ...{ first_row: firstRow, rows: windowRows, first_part: first, count: end - first },
          ...{ grad_start: gradStart, row_start: rowStart, row_groups: rowGroups },
        },
        bindings: {
          grad: bind(grad, 'read', (gradStart + windowRows * columns) * 4, (firstRow * columns - gradStart) * 4),
          row_moment: bind(row, 'read_write', (rowStart + windowRows) * 4, (firstRow - rowStart) * 4),
          part: bind(part, 'read_write', all * columns * 4),
          hyper: bind(hyper, 'read', 32),
          norm2: bind(gradNormSquared, 'read', 4),
        },
        workgroups: foldWorkgroups(rowGroups + columnGroups, profile.limits.maxComputeWorkgroupsPerDimension),
      }),
    );
  }
  return calls;
}

/** The columns' moments, and the mean of each matrix' rows' moments. */
function finishMoments<B>(
  profile: DeviceProfile,
  { hyper, gradNormSquared }: AdafactorKernelArgs<B>,
  { batch, rows, columns, row, col }: FactoredMoments<B>,
  part: Operand<B>,
  mean: Operand<B>,
): KernelCall<B> {
  const { count } = partsOf({ rows, columns });
  const team = teamCall(profile, 'adafactor', batch);
  const group = team.variant === 'workgroup' ? 64 : 32;
  const columnGroups = Math.ceil((batch * columns) / group);
  const meanGroups = team.variant === 'workgroup' ? batch : Math.ceil(batch / group);
  return shaderCall('optimizer/adafactor_moments', {
    ...team,
    conditions: { ...team.conditions, PARTIAL: false },
    uniforms: { matrix_rows: rows, columns, parts: count, batch, column_groups: columnGroups },
    bindings: {
      row_moment: bind(row, 'read', batch * rows * 4),
      col_moment: bind(col, 'read_write', batch * columns * 4),
      part: bind(part, 'read', batch * count * columns * 4),
      hyper: bind(hyper, 'read', 32),
      norm2: bind(gradNormSquared, 'read', 4),
      mean: bind(mean, 'read_write', batch * 4),
    },
    workgroups: foldWorkgroups(columnGroups + meanGroups, profile.limits.maxComputeWorkgroupsPerDimension),
  });
}

interface Factored<B> extends Omit<FactoredMoments<B>, 'batch'> {
  /** f32 [batch]: the mean of each matrix' rows' moments. */
  readonly mean: Operand<B>;
}

/** The norms of parameter and update, what follows from them, and the update. */
function update<B>(
  profile: DeviceProfile,
  args: AdafactorKernelArgs<B>,
  n: number,
  factored: Factored<B> | undefined,
): KernelCall<B>[] {
  const { param, grad, moments, hyper, gradNormSquared, learningRateScale, weightDecayScale, workspace } = args;
  const chunk = Math.max(LEAST_CHUNK, Math.ceil(n / MOST_CHUNKS / ALIGNMENT) * ALIGNMENT);
  const chunks = Math.ceil(n / chunk);
  const sums = workspace(chunks * 8);
  const scale = workspace(4);
  const { maxStorageBufferBindingSize: limit, maxComputeWorkgroupsPerDimension } = profile.limits;
  const window = n * 4 <= limit ? n : Math.floor(limit / 4 / chunk) * chunk;
  if (window === 0) throw new BindingLimitError(`adafactor: ${chunk} values do not fit a binding of ${limit} bytes`);
  const windows = Array.from({ length: Math.ceil(n / window) }, (_, i) => ({
    start: i * window,
    count: Math.min(window, n - i * window),
  }));
  const vec = (factored?.columns ?? n) % 4 === 0;
  const common = { hyper: bind(hyper, 'read', 32), norm2: bind(gradNormSquared, 'read', 4) };
  const uniforms = (start: number, count: number, chunksHere: number) => ({
    ...{ n: count, first: start, matrix_rows: factored?.rows ?? 1, columns: factored?.columns ?? 1 },
    ...{ chunk, chunks: chunksHere, first_chunk: start / chunk, inverse: 1 / n },
    ...{ rate: learningRateScale, decay: weightDecayScale },
  });
  const momentsOf = (start: number, count: number, access: Binding<B>['access']) => {
    if ('v' in moments) return { moment: bind(moments.v, access, count * 4, start * 4) };
    const { batch, rows, columns, row, col } = moments;
    return {
      row_moment: bind(row, 'read', batch * rows * 4),
      col_moment: bind(col, 'read', batch * columns * 4),
      mean: bind(factored!.mean, 'read', batch * 4),
    };
  };
  const norms = windows.map(({ start, count }): KernelCall<B> => {
    const here = Math.ceil(count / chunk);
    const team = teamCall(profile, 'adafactor', here);
    return shaderCall('optimizer/adafactor', {
      ...team,
      conditions: { ...team.conditions, NORMS: true, FACTORED: factored !== undefined, VEC: vec },
      uniforms: uniforms(start, count, here),
      bindings: {
        ...common,
        sums: bind(sums, 'read_write', chunks * 8),
        param: bind(param, 'read', count * 4, start * 4),
        grad: bind(grad, 'read', count * 4, start * 4),
        ...momentsOf(start, count, 'read_write'),
      },
    });
  });
  const one = teamCall(profile, 'adafactor', 1);
  const scaleCall = shaderCall('optimizer/adafactor', {
    ...one,
    conditions: { ...one.conditions, SCALE: true },
    uniforms: uniforms(0, n, chunks),
    bindings: { ...common, sums: bind(sums, 'read_write', chunks * 8), scale: bind(scale, 'read_write', 4) },
  });
  const applied = windows.map(
    ({ start, count }): KernelCall<B> =>
      shaderCall('optimizer/adafactor', {
        conditions: { APPLY: true, FACTORED: factored !== undefined, VEC: vec },
        uniforms: uniforms(start, count, Math.ceil(count / chunk)),
        bindings: {
          ...common,
          scale: bind(scale, 'read', 4),
          param: bind(param, 'read_write', count * 4, start * 4),
          grad: bind(grad, 'read', count * 4, start * 4),
          ...momentsOf(start, count, 'read'),
        },
        workgroups: foldWorkgroups(Math.ceil(count / (vec ? 128 : 32)), maxComputeWorkgroupsPerDimension),
        variant: 'plain',
        // The parameter is read and written.
        work: { bytes: 3 * count * 4 },
      }),
  );
  return [...norms, scaleCall, ...applied];
}
