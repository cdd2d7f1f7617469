import type { DeviceProfile } from '@lapidary/gpu';
import { elementwise, stridedCopy, stridesOf, type KernelCall, type Operand } from '@lapidary/kernels';
import { nodesBelow } from '../autograd.js';
import {
  formatType,
  needDevice,
  needLists,
  needRecords,
  needTensorLists,
  resolveAlias,
  Tensor,
  type GraphNode,
  type StorageId,
  type TensorType,
} from '../graph.js';
import type { Variable, VariableCategory } from '../variable.js';
import { fuse, type FusedGroup } from './fuse.js';
import { fuseEpilogues, type FusedEpilogue } from './fuse-epilogue.js';
import { fuseNorms, type FusedNorm } from './fuse-norm.js';
import { place } from './place.js';

/** Where a storage's bytes are: a variable's own buffer, one of the program's inputs or outputs, or a shared slot. */
export type Home =
  | { readonly kind: 'variable'; readonly variable: Variable }
  | { readonly kind: 'input'; readonly name: string }
  | { readonly kind: 'output'; readonly index: number }
  | { readonly kind: 'slot'; readonly slot: number };

/** What a program needs in GPU memory, in bytes, by what for. Known before anything is allocated. */
export interface MemoryPlan {
  readonly variables: Readonly<Partial<Record<VariableCategory, number>>>;
  readonly inputs: number;
  readonly outputs: number;
  /** Activations, gradients and workspace: the shared buffers. */
  readonly temporaries: number;
  /** Uniform structs and read-back staging. */
  readonly overhead: number;
  readonly total: number;
  /** The largest single buffer. */
  readonly largestBuffer: number;
}

/** Types of a program's inputs by name; undefined ones are not there. */
export type InputTypes = { readonly [name: string]: TensorType | undefined };

/** `T`: its inputs by name, `O`: names of its outputs. */
export interface ProgramPlan<T extends InputTypes = InputTypes, O extends string = string> {
  /** Of all inputs, those included that nothing reads. */
  readonly inputTypes: T;
  readonly calls: readonly KernelCall<StorageId>[];
  /** Name of the op that emitted each call. */
  readonly callNames: readonly string[];
  /** Types of that op's tensors, for inspection: `f32[4, 8], bf16[16, 8] → f32[4, 16]`. */
  readonly callTypes: readonly string[];
  readonly homes: ReadonlyMap<StorageId, Home>;
  readonly slotBytes: readonly number[];
  readonly inputs: readonly { readonly name: string; readonly tensor: Tensor }[];
  readonly outputs: readonly Tensor[];
  /** In the order of `outputs`. */
  readonly outputNames: readonly O[];
  readonly variables: readonly Variable[];
  readonly memory: MemoryPlan;
  /** Every temporary tensor, for inspection: what it is and its bytes. */
  readonly temporaries: readonly { readonly name: string; readonly type: string; readonly bytes: number }[];
}

export interface Update {
  readonly variable: Variable;
  /** The variable's value after the program has run. */
  readonly value: Tensor;
}

interface Item {
  /** Whose outputs are made. */
  readonly node: GraphNode;
  readonly group?: FusedGroup;
  /** Whose kernels make them, where not the node's own, and what these do beside. */
  readonly epilogue?: FusedEpilogue;
  /** What these do to their first input before. */
  readonly norm?: FusedNorm;
  readonly reads: readonly Tensor[];
}

interface Storage {
  bytes: number;
  first: number;
  last: number;
  home?: Home;
  name: string;
  type: string;
}

const UNIFORM_ALIGNMENT = 256;

/** Turns a traced graph into kernels in order, with every value placed in memory. Needs no device, only its profile. */
export function planProgram(
  profile: DeviceProfile,
  outputs: readonly Tensor[],
  updates: readonly Update[],
): ProgramPlan {
  needDevice('planProgram', { profile });
  needTensorLists('planProgram', { outputs });
  needLists('planProgram', { updates });
  updates.forEach((update, i) => {
    needRecords('planProgram', { [`updates[${i}]`]: update });
  });
  const roots = [...outputs, ...updates.map((u) => u.value)];
  const order = nodesBelow(...roots.map((t) => t.node));
  const kept = new Set(roots.map((t) => resolveAlias(t).node));
  const epilogues = fuseEpilogues(order, kept);
  const norms = fuseNorms(profile, order, kept, epilogues.of);
  // A fused kernel reads at most as many tensors as fit beside its output and, in place, none more.
  const groups = fuse(order, kept, Math.max(2, profile.limits.maxStorageBuffersPerShaderStage - 1), {
    has: (node) => epilogues.of.has(node) || epilogues.absorbed.has(node),
  });
  const items: Item[] = [];
  for (const node of order) {
    if (node.alias || node.variable || node.input) continue;
    if (epilogues.absorbed.has(node) || norms.absorbed.has(node)) continue;
    const epilogue = epilogues.of.get(node);
    const producer = epilogue?.producer ?? node;
    const norm = norms.of.get(producer);
    if (epilogue || norm) {
      const { bias, residual } = epilogue ?? {};
      const reads = [...inputsOf(producer, norm), norm?.weight, bias, residual].filter((t) => t !== undefined);
      items.push({ node, reads, ...(epilogue && { epilogue }), ...(norm && { norm }) });
    } else if (node.elementwise) {
      const group = groups.get(node);
      if (group && !(node.elementwise.op === 'constant' && onlyFused(node, order, groups, kept)))
        items.push({ node, group, reads: group.inputs });
    } else items.push({ node, reads: node.inputs });
  }

  const storages: Storage[] = [];
  const storageOf = new Map<string, StorageId>();
  const key = (t: Tensor) => `${t.node.id}.${t.index}`;
  const newStorage = (bytes: number, at: number, name: string, type: string, home?: Home): StorageId =>
    storages.push({
      bytes: Math.max(4, Math.ceil(bytes / 4) * 4),
      first: at,
      last: at,
      name,
      type,
      ...(home && { home }),
    }) - 1;

  // Leaves.
  const variables: Variable[] = [];
  const inputs: { name: string; tensor: Tensor }[] = [];
  for (const node of order) {
    const leaf = tensorOf(node, 0);
    if (node.variable) {
      variables.push(node.variable);
      storageOf.set(
        key(leaf),
        newStorage(node.variable.bytes, 0, node.name, formatType(leaf), { kind: 'variable', variable: node.variable }),
      );
    } else if (node.input) {
      inputs.push({ name: node.input.name, tensor: leaf });
      storageOf.set(
        key(leaf),
        newStorage(leaf.bytes, 0, node.name, formatType(leaf), { kind: 'input', name: node.input.name }),
      );
    }
  }
  for (const { variable } of updates) if (!variables.includes(variable)) variables.push(variable);

  const lastRead = new Map<string, number>();
  items.forEach((item, i) => item.reads.forEach((t) => lastRead.set(key(resolveAlias(t)), i)));
  for (const root of roots) lastRead.set(key(resolveAlias(root)), items.length);
  const lastReadOf = (t: Tensor) => lastRead.get(key(resolveAlias(t))) ?? -1;

  const outputKeys = new Map(outputs.map((t, i) => [key(resolveAlias(t)), i]));
  const updateOf = new Map(updates.map((u) => [key(resolveAlias(u.value)), u]));

  const calls: KernelCall<StorageId>[] = [];
  const callNames: string[] = [];
  const callTypes: string[] = [];
  const operand = (t: Tensor): Operand<StorageId> => {
    const id = storageOf.get(key(resolveAlias(t)));
    if (id === undefined) throw new Error(`planner: '${t.node.name}' has no storage`);
    return { buffer: id, offset: 0, dtype: t.dtype };
  };
  const emit = (name: string, types: string, made: readonly KernelCall<StorageId>[]) => {
    calls.push(...made);
    for (let i = 0; i < made.length; i++) {
      callNames.push(name);
      callTypes.push(types);
    }
  };
  const emitCopy = (from: Operand<StorageId>, to: Operand<StorageId>, t: Tensor) => {
    const words = [t.bytes / 4];
    const strides = stridesOf(words);
    const made = stridedCopy(profile, {
      x: { ...from, dtype: 'u32' },
      out: { ...to, dtype: 'u32' },
      shape: words,
      inStrides: strides,
      inOffset: 0,
      outStrides: strides,
      outOffset: 0,
    });
    emit('copy', formatType(t), made);
  };

  /** The variable whose memory output `t` of item `i` may be written to at once: nobody reads its old value later. */
  const updatedInPlace = (t: Tensor, i: number, overwrites: readonly Tensor[]): StorageId | undefined => {
    const update = updateOf.get(key(t));
    if (update === undefined || outputKeys.has(key(t))) return undefined;
    const leaf = update.variable.tensor;
    const home = storageOf.get(key(leaf));
    if (home === undefined) return undefined;
    const reader = lastRead.get(key(leaf)) ?? -1;
    const readsItself = items[i]!.reads.some((r) => resolveAlias(r).node === leaf.node);
    if (reader > i || (readsItself && !overwrites.some((o) => resolveAlias(o).node === leaf.node))) return undefined;
    return home;
  };

  items.forEach((item, i) => {
    const { node, group, epilogue, norm } = item;
    const producer = epilogue?.producer ?? node;
    for (const read of item.reads) {
      const storage = storages[operand(read).buffer]!;
      storage.last = Math.max(storage.last, i);
    }
    const outs = node.outputs.map((type, index) => {
      const t = tensorOf(node, index);
      const sourceIndex = node.inPlace?.get(index);
      const candidates = sourceIndex !== undefined ? [node.inputs[sourceIndex]!] : overwritable(item, type);
      const direct = updatedInPlace(t, i, candidates);
      let id = direct;
      if (id === undefined && !outputKeys.has(key(t))) {
        const dying = candidates.find((x) => {
          const at = operand(x).buffer;
          return storages[at]!.home === undefined && lastReadOf(x) <= i && !sharesStorageLater(x, i);
        });
        if (dying) id = operand(dying).buffer;
      }
      id ??= newStorage(
        t.bytes,
        i,
        node.name,
        formatType(type),
        outputKeys.has(key(t)) ? { kind: 'output', index: outputKeys.get(key(t))! } : undefined,
      );
      if (sourceIndex !== undefined) {
        const source = operand(node.inputs[sourceIndex]!);
        if (source.buffer !== id) emitCopy(source, { buffer: id, offset: 0, dtype: t.dtype }, t);
      }
      storages[id]!.last = Math.max(storages[id]!.last, i, lastReadOf(t));
      return { t, id };
    });
    const types = `${formatTypes(item.reads)} → ${formatTypes(node.outputs)}`;
    const inputOperands = inputsOf(producer, norm).map((t) => (group ? undefined : operand(t)));
    const bias = epilogue?.bias && operand(epilogue.bias);
    const residual = epilogue?.residual && operand(epilogue.residual);
    for (const { t, id } of outs) storageOf.set(key(t), id);
    if (group) {
      const shape = node.outputs[0]!.shape;
      emit(
        group.nodes.length > 1 ? `fused ${node.name}` : node.name,
        types,
        elementwise(profile, {
          shape,
          inputs: group.inputs.map((t) => ({ operand: operand(t), strides: broadcastStrides(t.shape, shape) })),
          steps: group.steps,
          outputs: [{ operand: operand(tensorOf(node, 0)), value: group.inputs.length + group.steps.length - 1 }],
        }),
      );
    } else {
      const workspace = (bytes: number): Operand<StorageId> => ({
        buffer: newStorage(bytes, i, `${node.name} workspace`, `${bytes} bytes`),
        offset: 0,
        dtype: 'f32',
      });
      emit(
        norm ? `norm + ${producer.name}` : producer.name,
        types,
        producer.lower!({
          profile,
          inputs: inputOperands as Operand<StorageId>[],
          outputs: outs.map(({ t, id }) => ({ buffer: id, offset: 0, dtype: t.dtype })),
          ...(epilogue && {
            epilogue: {
              ...(bias && { bias }),
              ...(epilogue.activation && { activation: epilogue.activation }),
              ...(residual && { residual }),
            },
          }),
          ...(norm && {
            norm: { weight: operand(norm.weight), eps: norm.eps, weightOffset: norm.weightOffset },
          }),
          workspace,
        }),
      );
    }
  });

  /** True if another tensor that lives in the same storage is read after item i. */
  function sharesStorageLater(x: Tensor, i: number): boolean {
    const id = operand(x).buffer;
    for (const [other, storage] of storageOf) if (storage === id && (lastRead.get(other) ?? -1) > i) return true;
    return false;
  }

  // What could not be written in place, and outputs that are leaves or shared with others, are copied at the end. All updates
  // are read before any is written: a value may be another variable's old one.
  const pending = updates.filter(
    (u) =>
      storageOf.get(key(u.variable.tensor)) === undefined ||
      operand(u.value).buffer !== operand(u.variable.tensor).buffer,
  );
  for (const update of pending) {
    if (!storageOf.has(key(update.variable.tensor))) {
      storageOf.set(
        key(update.variable.tensor),
        newStorage(update.variable.bytes, 0, update.variable.name, formatType(update.variable.type), {
          kind: 'variable',
          variable: update.variable,
        }),
      );
    }
  }
  const leafValues = pending.filter((u) => storages[operand(u.value).buffer]!.home?.kind === 'variable');
  const staged = new Map(
    leafValues.map((u) => {
      const at = {
        buffer: newStorage(u.value.bytes, items.length, 'update', formatType(u.value)),
        offset: 0,
        dtype: u.value.dtype,
      };
      emitCopy(operand(u.value), at, u.value);
      return [u, at] as const;
    }),
  );
  for (const update of pending)
    emitCopy(staged.get(update) ?? operand(update.value), operand(update.variable.tensor), update.value);

  const homes = new Map<StorageId, Home>();
  outputs.forEach((t, index) => {
    const at = operand(t);
    const home = storages[at.buffer]!.home;
    if (home?.kind === 'output' && home.index === index) return;
    const id = newStorage(t.bytes, items.length, 'output', formatType(t), { kind: 'output', index });
    emitCopy(at, { buffer: id, offset: 0, dtype: t.dtype }, t);
  });

  const temporary = storages.map((_, id) => id).filter((id) => storages[id]!.home === undefined);
  const { slot, slotBytes } = place(temporary.map((id) => storages[id]!));
  storages.forEach((s, id) => {
    if (s.home) homes.set(id, s.home);
  });
  temporary.forEach((id, n) => homes.set(id, { kind: 'slot', slot: slot[n]! }));

  return {
    inputTypes: Object.fromEntries(inputs.map(({ name, tensor }) => [name, tensor])),
    calls,
    callNames,
    callTypes,
    homes,
    slotBytes,
    inputs,
    outputs,
    outputNames: outputs.map((_, i) => String(i)),
    variables,
    memory: memoryPlan(
      calls,
      slotBytes,
      inputs.map((x) => x.tensor),
      outputs,
      variables,
    ),
    temporaries: temporary.map((id) => ({
      name: storages[id]!.name,
      type: storages[id]!.type,
      bytes: storages[id]!.bytes,
    })),
  };
}

/**
 * Inputs that an output may overwrite element by element: a fused kernel any of the same shape, others what they declare, unless they
 * read it elsewhere too.
 */
function overwritable({ node, group, epilogue, norm }: Item, { shape }: TensorType): readonly Tensor[] {
  const { producer = node, bias, residual } = epilogue ?? {};
  if (group) return group.inputs.filter((x) => x.dtype === 'f32' && x.shape.join() === shape.join());
  const candidate = residual ?? (node.mayOverwrite === undefined ? undefined : node.inputs[node.mayOverwrite]);
  if (candidate?.dtype !== 'f32') return [];
  const others = inputsOf(producer, norm).filter((_, i) => residual !== undefined || i !== node.mayOverwrite);
  if (norm) others.push(norm.weight);
  if (bias) others.push(bias);
  const own = resolveAlias(candidate);
  return others.map(resolveAlias).some((t) => t.node === own.node && t.index === own.index) ? [] : [candidate];
}

/** What a node's kernels read: in the place of a norm that they take in, what it normalises. */
function inputsOf({ inputs }: GraphNode, norm: FusedNorm | undefined): readonly Tensor[] {
  return norm ? [norm.x, ...inputs.slice(1)] : inputs;
}

/** Types in few words: of many tensors the first ones. */
function formatTypes(types: readonly TensorType[]): string {
  const shown = types.length > 8 ? types.slice(0, 3) : types;
  return `${shown.map(formatType).join(', ')}${shown.length < types.length ? `, … (${types.length} tensors)` : ''}`;
}

const tensorOf = (node: GraphNode, index: number): Tensor => new Tensor(node, index);

/** True if every reader of a constant holds it inside its own kernel. */
function onlyFused(
  node: GraphNode,
  order: readonly GraphNode[],
  groups: ReadonlyMap<GraphNode, FusedGroup>,
  kept: ReadonlySet<GraphNode>,
): boolean {
  if (kept.has(node)) return false;
  for (const group of groups.values())
    if (group.root !== node && group.inputs.some((t) => resolveAlias(t).node === node)) return false;
  return order.every(
    (other) => other.elementwise !== undefined || other.inputs.every((t) => resolveAlias(t).node !== node),
  );
}

function broadcastStrides(shape: readonly number[], out: readonly number[]): number[] {
  const own = stridesOf(shape);
  const lead = out.length - shape.length;
  return out.map((_, i) => (i < lead || shape[i - lead] === 1 ? 0 : own[i - lead]!));
}

function memoryPlan(
  calls: readonly KernelCall<StorageId>[],
  slotBytes: readonly number[],
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  variables: readonly Variable[],
): MemoryPlan {
  const total = (bytes: readonly number[]) => bytes.reduce((a, b) => a + b, 0);
  const pad = (bytes: number) => Math.max(4, bytes);
  const byCategory: Partial<Record<VariableCategory, number>> = {};
  for (const v of variables) byCategory[v.category] = (byCategory[v.category] ?? 0) + pad(v.bytes);
  const inputBytes = total(inputs.map((t) => pad(t.bytes)));
  const outputBytes = total(outputs.map((t) => pad(t.bytes)));
  const temporaries = total(slotBytes);
  const overhead = uniformBytes(calls) + outputBytes;
  return {
    variables: byCategory,
    inputs: inputBytes,
    outputs: outputBytes,
    temporaries,
    overhead,
    total: total(Object.values(byCategory)) + inputBytes + outputBytes + temporaries + overhead,
    largestBuffer: Math.max(
      0,
      ...slotBytes,
      ...variables.map((v) => v.bytes),
      ...inputs.map((t) => t.bytes),
      ...outputs.map((t) => t.bytes),
    ),
  };
}

/** Bytes of one buffer that holds every call's uniform struct, equal ones once. */
export function uniformBytes(calls: readonly KernelCall<StorageId>[]): number {
  return uniformLayout(calls).bytes;
}

/** Where each call's uniform struct lies in the program's uniform buffer; equal structs are shared. */
export function uniformLayout(calls: readonly KernelCall<StorageId>[]): {
  offsets: number[];
  bytes: number;
  unique: Map<string, number>;
} {
  const unique = new Map<string, number>();
  let bytes = 0;
  const offsets = calls.map(({ uniforms }) => {
    const text = uniforms.join();
    let at = unique.get(text);
    if (at === undefined) {
      at = bytes;
      unique.set(text, at);
      bytes += Math.ceil(Math.max(16, uniforms.byteLength) / UNIFORM_ALIGNMENT) * UNIFORM_ALIGNMENT;
    }
    return at;
  });
  return { offsets, bytes: Math.max(bytes, UNIFORM_ALIGNMENT), unique };
}
