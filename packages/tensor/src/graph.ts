import type { DeviceProfile } from '@lapidary/gpu';
import {
  storageBytes,
  type DType,
  type ElementwiseOp,
  type KernelCall,
  type MatmulNorm,
  type Operand,
} from '@lapidary/kernels';
import type { Variable } from './variable.js';

export interface TensorType {
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** A number standing for a piece of GPU memory that the planner has not placed yet. */
export type StorageId = number;

export type Activation = 'gelu' | 'silu';

/** What a node's kernels do to its only output while they write it, in this order. */
export interface Epilogue {
  /** f32, as long as a row of the output; added to each. */
  readonly bias?: Operand<StorageId>;
  readonly activation?: Activation;
  /** f32 of the output's size, added to it. It may be the output's own memory. Never beside an activation. */
  readonly residual?: Operand<StorageId>;
}

/** What an op sees when it turns into kernels. */
export interface LowerContext {
  readonly profile: DeviceProfile;
  readonly inputs: readonly Operand<StorageId>[];
  readonly outputs: readonly Operand<StorageId>[];
  /** What to do to the output while it is written: only for nodes that say `takesEpilogue`. */
  readonly epilogue?: Epilogue;
  /** How the first input, a single row, is normalised first: only for nodes that say `takesNorm`, and beside no bias and no residual. */
  readonly norm?: MatmulNorm<StorageId>;
  /** Scratch memory that lives for this op only; `bytes` of it. */
  workspace(bytes: number): Operand<StorageId>;
}

/** What an op sees when its gradient is taken. Inputs and outputs may be recomputed ones (gradient checkpointing). */
export interface VjpContext {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** Gradient of the result with respect to each output; undefined where it does not depend on it. */
  readonly grads: readonly (Tensor | undefined)[];
  /** Which inputs' gradients are wanted. */
  readonly needs: readonly boolean[];
}

/** One node of the lazy graph. Nodes are immutable; a node's inputs always have smaller ids. */
export interface GraphNode {
  readonly id: number;
  readonly name: string;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly TensorType[];
  readonly lower?: (context: LowerContext) => KernelCall<StorageId>[];
  readonly vjp?: (context: VjpContext) => readonly (Tensor | undefined)[];
  /** Set on nodes that the planner may fuse into one generated kernel. */
  readonly elementwise?: { readonly op: ElementwiseOp; readonly value?: number };
  /** The output shares the input's memory (reshape). */
  readonly alias?: true;
  /** The node's kernels can go on with its only output while they write it (`LowerContext.epilogue`), or only add a residual. */
  readonly takesEpilogue?: 'whole' | 'residual';
  /** An RMSNorm of the first input over its last axis, by the second. */
  readonly norm?: { readonly eps: number; readonly weightOffset: number };
  /** The node's kernels can normalise its first input themselves (`LowerContext.norm`). */
  readonly takesNorm?: boolean;
  /** Number of an input that the only output may overwrite, element by element, where nobody reads it later. */
  readonly mayOverwrite?: number;
  /** Output number → input number it overwrites; the planner copies the input first if it is still needed. */
  readonly inPlace?: ReadonlyMap<number, number>;
  /** Set on leaves whose memory outlives programs. */
  readonly variable?: Variable;
  /** Set on leaves written by the host before each run. */
  readonly input?: { readonly name: string };
  /** Nodes made inside one `checkpoint` call share its region. */
  readonly region?: CheckpointRegion;
}

/** Marks the nodes of one `checkpoint` call: their values are recomputed in the backward pass instead of kept. */
export interface CheckpointRegion {
  readonly nodes: GraphNode[];
}

/** A value of the lazy graph: output `index` of `node`. Nothing is computed until a program that needs it runs. */
export class Tensor {
  readonly node: GraphNode;
  readonly index: number;

  constructor(node: GraphNode, index: number) {
    this.node = node;
    this.index = index;
  }

  get shape(): readonly number[] {
    return this.node.outputs[this.index]!.shape;
  }

  get dtype(): DType {
    return this.node.outputs[this.index]!.dtype;
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** Bytes in GPU memory, rounded up to 4. */
  get bytes(): number {
    return storageBytes(this.dtype, this.size);
  }
}

/** Follows reshapes to the tensor whose memory is meant. */
export function resolveAlias(t: Tensor): Tensor {
  let at = t;
  while (at.node.alias) at = at.node.inputs[0]!;
  return at;
}

/** How kernels are told of a residual: apart from the output's own memory, or in it. */
export function addedTo(
  out: Operand<StorageId>,
  residual: Operand<StorageId> | undefined,
): { residual?: Operand<StorageId>; accumulate?: boolean } {
  if (residual === undefined) return {};
  return residual.buffer === out.buffer ? { accumulate: true } : { residual };
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

let nextId = 1;
let currentRegion: CheckpointRegion | undefined;

/** Adds a node to the graph and gives its outputs. */
export function addNode(node: Omit<GraphNode, 'id' | 'region'>): Tensor[] {
  const made: GraphNode = { ...node, id: nextId++, ...(currentRegion && { region: currentRegion }) };
  currentRegion?.nodes.push(made);
  return made.outputs.map((_, i) => new Tensor(made, i));
}

/** Runs `body` with every node it makes belonging to a new region. */
export function withRegion<T>(body: () => T): T {
  const outer = currentRegion;
  currentRegion = { nodes: [] };
  try {
    return body();
  } finally {
    currentRegion = outer;
  }
}

/** Runs `body` outside of any region. */
export function withoutRegion<T>(body: () => T): T {
  const outer = currentRegion;
  currentRegion = undefined;
  try {
    return body();
  } finally {
    currentRegion = outer;
  }
}

/** Shapes or dtypes that do not fit an operation. */
export class TensorShapeError extends Error {
  override readonly name = 'TensorShapeError';
  readonly operation: string;
  constructor(operation: string, message: string) {
    super(`${operation}: ${message}`);
    this.operation = operation;
  }
}

/** What an operation is given by name. */
type Arguments = Readonly<Record<string, unknown>>;

/**
 * Callers without types may hand over anything: each operation of the package begins by asking this, or one of the functions below, for
 * what it reads. @throws TensorShapeError naming the first argument that is no tensor
 */
export function needTensors(operation: string, given: Arguments): void {
  for (const [name, value] of Object.entries(given))
    if (!(value instanceof Tensor))
      throw new TensorShapeError(operation, `${name} must be a tensor, not ${kindOf(value)}`);
}

/** For operations whose kernels read nothing else. @throws TensorShapeError naming the first that is not f32 */
export function needF32(operation: string, given: Readonly<Record<string, Tensor>>): void {
  needTensors(operation, given);
  const other = Object.values(given).find(({ dtype }) => dtype !== 'f32');
  if (other !== undefined) throw new TensorShapeError(operation, `${formatType(other)} must be cast to f32 first`);
}

/** @throws TensorShapeError naming the first argument that is no record of settings or tensors */
export function needRecords(operation: string, given: Arguments): void {
  for (const [name, value] of Object.entries(given))
    if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Tensor)
      throw new TensorShapeError(operation, `${name} must be an object, not ${kindOf(value)}`);
}

/** @throws TensorShapeError naming the first argument that is no list */
export function needLists(operation: string, given: Arguments): void {
  for (const [name, value] of Object.entries(given))
    if (!Array.isArray(value)) throw new TensorShapeError(operation, `${name} must be a list, not ${kindOf(value)}`);
}

/** @throws TensorShapeError naming the first argument that is no list of tensors */
export function needTensorLists(operation: string, given: Readonly<Record<string, readonly unknown[]>>): void {
  needLists(operation, given);
  for (const [name, list] of Object.entries(given))
    needTensors(operation, Object.fromEntries(list.map((each, i) => [`${name}[${i}]`, each])));
}

/** @throws TensorShapeError naming the first argument that is no number */
export function needNumbers(operation: string, given: Arguments): void {
  for (const [name, value] of Object.entries(given))
    if (typeof value !== 'number')
      throw new TensorShapeError(operation, `${name} must be a number, not ${kindOf(value)}`);
}

/** @throws TensorShapeError naming the first argument that is no function */
export function needFunctions(operation: string, given: Arguments): void {
  for (const [name, value] of Object.entries(given))
    if (typeof value !== 'function')
      throw new TensorShapeError(operation, `${name} must be a function, not ${kindOf(value)}`);
}

/** What `openGpu` gives, or the profile of a device. @throws TensorShapeError naming what is none */
export function needDevice(operation: string, given: Arguments): void {
  for (const [name, value] of Object.entries(given))
    if (typeof value !== 'object' || value === null || !('limits' in value || 'profile' in value))
      throw new TensorShapeError(operation, `${name} must be a device's, as openGpu gives it, not ${kindOf(value)}`);
}

/** @throws TensorShapeError where `shape` is no list of whole numbers */
export function needShape(operation: string, shape: unknown): void {
  needLists(operation, { shape });
  const sizes = shape as readonly unknown[];
  if (!sizes.every((size) => Number.isSafeInteger(size) && Number(size) >= 0))
    throw new TensorShapeError(
      operation,
      `its shape must be a list of whole numbers, not [${sizes.map(String).join(', ')}]`,
    );
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined || typeof value === 'number') return String(value);
  if (value instanceof Tensor) return 'a tensor';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

export function formatType({ shape, dtype }: TensorType): string {
  return `${dtype}[${shape.join(', ')}]`;
}
