import type { DeviceProfile } from '@lapidary/gpu';
import { byteLength, type DType } from '../dtype.js';
import { f32Bits, foldWorkgroups, type Binding, type KernelCall, type Operand } from '../kernel-call.js';
import { stridesOf } from '../strides.js';
import { BindingLimitError } from '../windows.js';

/** What a step can do. Comparisons give 1 or 0. */
export type ElementwiseOp =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'max'
  | 'min'
  | 'pow'
  | 'greater'
  | 'greaterEqual'
  | 'equal'
  | 'neg'
  | 'abs'
  | 'sign'
  | 'exp'
  | 'log'
  | 'sqrt'
  | 'rsqrt'
  | 'reciprocal'
  | 'square'
  | 'sin'
  | 'cos'
  | 'tanh'
  | 'sigmoid'
  | 'relu'
  | 'silu'
  | 'gelu'
  | 'where'
  /** Uniform in [0, 1), a hash of the first argument's bits (a seed, one value), the second (a stream number) and the element's index. */
  | 'uniform'
  | 'constant';

/** One step of a fused kernel in static single assignment: arguments number the inputs first, then the steps. */
export interface ElementwiseStep {
  readonly op: ElementwiseOp;
  readonly args: readonly number[];
  /** For `constant`. Passed as a uniform, so that kernels with other constants share a pipeline. */
  readonly value?: number;
}

/** Operands and steps of `elementwise`; at most 6 dimensions after those are merged that lie contiguously. */
export interface ElementwiseArgs<B> {
  /** Shape of every output. */
  readonly shape: readonly number[];
  /** Inputs with their element stride along each dimension of `shape`; 0 broadcasts. f32, bf16, f16 or i32 (read as f32). */
  readonly inputs: readonly { readonly operand: Operand<B>; readonly strides: readonly number[] }[];
  readonly steps: readonly ElementwiseStep[];
  /** f32 outputs, contiguous; `value` numbers an input or a step. An output may be an input's buffer, elementwise in place. */
  readonly outputs: readonly { readonly operand: Operand<B>; readonly value: number }[];
}

const MAX_RANK = 6;

/** Merges neighbouring dimensions that every operand walks contiguously, and drops those of size 1. */
function collapse(
  shape: readonly number[],
  strides: readonly (readonly number[])[],
): { shape: number[]; strides: number[][] } {
  const outShape: number[] = [];
  const outStrides: number[][] = strides.map(() => []);
  for (let d = 0; d < shape.length; d++) {
    if (shape[d] === 1) continue;
    const last = outShape.length - 1;
    const mergeable = last >= 0 && strides.every((s, i) => outStrides[i]![last] === s[d]! * shape[d]!);
    if (mergeable) {
      outShape[last]! *= shape[d]!;
      outStrides.forEach((s, i) => {
        s[last] = strides[i]![d]!;
      });
    } else {
      outShape.push(shape[d]!);
      outStrides.forEach((s, i) => {
        s.push(strides[i]![d]!);
      });
    }
  }
  if (outShape.length === 0) return { shape: [1], strides: strides.map(() => [0]) };
  return { shape: outShape, strides: outStrides };
}

type Load = 'vector' | 'splat' | 'element';

/**
 * One fused kernel for a whole chain of elementwise steps; its WGSL is generated, its arithmetic is
 * `shaders/elementwise/functions.wesl`. Four values a thread where every operand allows it. Operands larger than one
 * binding are walked in windows of the outermost dimension.
 * @throws BindingLimitError where no window fits; RangeError for too many dimensions; TypeError for an input in blocks or of u32.
 */
export function elementwise<B>(profile: DeviceProfile, args: ElementwiseArgs<B>): KernelCall<B>[] {
  const size = args.shape.reduce((a, b) => a * b, 1);
  if (size === 0) return [];
  const { shape, strides } = collapse(args.shape, [...args.inputs.map((i) => i.strides), stridesOf(args.shape)]);
  strides.pop();
  if (shape.length > MAX_RANK)
    throw new RangeError(`elementwise: ${shape.length} dimensions cannot be merged to ${MAX_RANK}`);

  const limit = profile.limits.maxStorageBufferBindingSize;
  const rowElements = size / shape[0]!;
  const bytesPerRow = Math.max(
    rowElements * 4,
    ...args.inputs.map((x, i) => strides[i]![0]! * byteLength(x.operand.dtype, 1)),
  );
  if (shape[0]! * bytesPerRow <= limit) return [elementwisePart(profile, args, shape, strides, 0)];

  // A window's rows must start at multiples of 256 bytes in every operand: 128 rows do, whatever the row (2 bytes at least).
  const rows = Math.floor(limit / bytesPerRow / 128) * 128;
  if (rows === 0)
    throw new BindingLimitError(`elementwise: 128 rows of ${bytesPerRow} bytes do not fit a binding of ${limit} bytes`);
  const calls: KernelCall<B>[] = [];
  for (let row = 0; row < shape[0]!; row += rows) {
    calls.push(elementwisePart(profile, args, [Math.min(rows, shape[0]! - row), ...shape.slice(1)], strides, row));
  }
  return calls;
}

function elementwisePart<B>(
  profile: DeviceProfile,
  args: ElementwiseArgs<B>,
  shape: number[],
  strides: number[][],
  firstRow: number,
): KernelCall<B> {
  const size = shape.reduce((a, b) => a * b, 1);
  const rank = shape.length;
  const inner = shape[rank - 1]!;
  const vectorStrides = (s: number[]) => s[rank - 1] === 1 && s.slice(0, -1).every((v) => v % 4 === 0);
  const vec = inner % 4 === 0 && strides.every((s) => s[rank - 1] === 0 || vectorStrides(s));
  const loads: Load[] = strides.map((s) =>
    s.every((v) => v === 0) || (vec && s[rank - 1] === 0) ? 'splat' : vec ? 'vector' : 'element',
  );

  const constants = args.steps.filter((s) => s.op === 'constant').map((s) => s.value ?? 0);
  const source = generate(args, rank, vec, loads, strides, constants.length);

  const count = vec ? size / 4 : size;
  const rowElements = size / shape[0]!;
  const uniforms: number[] = [count, inner, firstRow * rowElements, 0];
  const pad = (v: number[]) => [...v, ...new Array<number>(8 - v.length).fill(0)];
  uniforms.push(...pad(shape));
  for (const s of strides) uniforms.push(...pad(s));
  uniforms.push(...constants.map(f32Bits));
  while (uniforms.length % 4 !== 0) uniforms.push(0);

  const bindings: Binding<B>[] = [];
  args.inputs.forEach(({ operand }, i) => {
    const s = strides[i]!;
    const span = 1 + shape.reduce((sum, dim, d) => sum + (dim - 1) * s[d]!, 0);
    const first = byteLength(operand.dtype, firstRow * s[0]!);
    const bytes = Math.ceil(byteLength(operand.dtype, span) / 4) * 4;
    if (bytes > profile.limits.maxStorageBufferBindingSize) {
      throw new BindingLimitError(
        `elementwise: input ${i} reaches over ${bytes} bytes, more than a binding holds (its strides: ${s.join(', ')}); copy it to be contiguous first`,
      );
    }
    bindings.push({ buffer: operand.buffer, offset: operand.offset + first, size: bytes, access: 'read' });
  });
  // An input that is also an output must be one read_write binding: WebGPU allows no buffer to be both in one dispatch.
  const outBindings = args.outputs.map(({ operand }) => ({
    buffer: operand.buffer,
    offset: operand.offset + firstRow * rowElements * 4,
    size: size * 4,
    access: 'read_write' as const,
  }));
  const groups = foldWorkgroups(Math.ceil(count / WORKGROUP), profile.limits.maxComputeWorkgroupsPerDimension);
  const elements = args.inputs.map(({ operand }, i) => loadExpression(operand.dtype, loads[i]!, '', '').element);
  const plan = mergeInPlace(bindings, outBindings, elements);
  const text = source(plan);
  return {
    shader: 'elementwise/fused',
    source: text,
    // Of the functions it imports; without any it has no conditions.
    ...(text.startsWith('import') && { conditions: { VEC: vec } }),
    uniforms: Uint32Array.from(uniforms, (v) => v >>> 0),
    bindings: plan.bindings,
    workgroups: groups,
    variant: vec ? 'vec4' : 'scalar',
    work: { bytes: bytesTouched(plan) },
  };
}

/** What an input and an output share is read and written. */
function bytesTouched({ bindings, inputs, outputs }: BindingPlan<unknown>): number {
  return bindings.reduce((sum, { size }, b) => sum + size * (inputs.includes(b) && outputs.includes(b) ? 2 : 1), 0);
}

const WORKGROUP = 64;

interface BindingPlan<B> {
  readonly bindings: Binding<B>[];
  /** Binding index of each input and of each output. */
  readonly inputs: number[];
  readonly outputs: number[];
}

/** Inputs read alike share a binding; `elements` says as what WGSL type each is read. */
function mergeInPlace<B>(inputs: Binding<B>[], outputs: Binding<B>[], elements: readonly string[]): BindingPlan<B> {
  const bindings: Binding<B>[] = [];
  const readAs = new Map<number, string>();
  const outputIndex = outputs.map((out) => bindings.push(out) - 1);
  const inputIndex = inputs.map((input, i) => {
    const same = outputs.findIndex((out) => out.buffer === input.buffer && out.offset === input.offset);
    if (same >= 0) return outputIndex[same]!;
    const again = bindings.findIndex(
      (b, n) =>
        readAs.get(n) === elements[i] &&
        b.buffer === input.buffer &&
        b.offset === input.offset &&
        b.size === input.size,
    );
    if (again >= 0) return again;
    const added = bindings.push(input) - 1;
    readAs.set(added, elements[i]!);
    return added;
  });
  return { bindings, inputs: inputIndex, outputs: outputIndex };
}

const infix: Partial<Record<ElementwiseOp, string>> = { add: '+', sub: '-', mul: '*', div: '/' };
const functionName: Partial<Record<ElementwiseOp, string>> = {
  max: 'max',
  min: 'min',
  abs: 'abs',
  sign: 'sign',
  sqrt: 'sqrt',
  rsqrt: 'inverseSqrt',
  pow: 'op_pow',
  greater: 'op_greater',
  greaterEqual: 'op_greater_equal',
  equal: 'op_equal',
  exp: 'op_exp',
  log: 'op_log',
  reciprocal: 'op_reciprocal',
  square: 'op_square',
  sin: 'op_sin',
  cos: 'op_cos',
  tanh: 'op_tanh',
  sigmoid: 'op_sigmoid',
  relu: 'op_relu',
  silu: 'op_silu',
  gelu: 'op_gelu',
  where: 'op_where',
};

/** How a storage type is bound and unpacked: WGSL array element and load expression for `index` (in elements). */
function loadExpression(
  dtype: DType,
  load: Load,
  array: string,
  index: string,
): { element: string; expression: string } {
  switch (dtype) {
    case 'f32':
      return load === 'vector'
        ? { element: 'vec4f', expression: `${array}[(${index}) >> 2u]` }
        : { element: 'f32', expression: `${array}[${index}]` };
    case 'i32':
      return load === 'vector'
        ? { element: 'vec4i', expression: `vec4f(${array}[(${index}) >> 2u])` }
        : { element: 'i32', expression: `f32(${array}[${index}])` };
    case 'bf16':
    case 'f16':
      return load === 'vector'
        ? { element: 'vec2u', expression: `unpack_${dtype}_4(${array}[(${index}) >> 2u])` }
        : { element: 'u32', expression: `unpack_${dtype}(${array}[(${index}) >> 1u], (${index}) & 1u)` };
    default:
      throw new TypeError(`elementwise: cannot read ${dtype}; convert or dequantise it first`);
  }
}

function generate<B>(
  args: ElementwiseArgs<B>,
  rank: number,
  vec: boolean,
  loads: Load[],
  strides: number[][],
  constants: number,
): (plan: BindingPlan<B>) => string {
  return (plan) => {
    const imports = new Set<string>();
    const lines: string[] = [];
    const declarations: string[] = [];
    const declared = new Set<number>();
    const declare = (binding: number, element: string) => {
      if (declared.has(binding)) return;
      declared.add(binding);
      const mode = plan.bindings[binding]!.access === 'read' ? 'read' : 'read_write';
      declarations.push(`@group(0) @binding(${binding + 1}) var<storage, ${mode}> b${binding}: array<${element}>;`);
    };
    args.outputs.forEach((_, o) => declare(plan.outputs[o]!, vec ? 'vec4f' : 'f32'));

    // Coordinates of the first element, outermost last, only if some input is not simply contiguous or one value.
    const simple = (s: number[]) => s.every((v) => v === 0) || rank === 1;
    if (!strides.every(simple)) {
      lines.push('  var rest = e;');
      for (let d = rank - 1; d > 0; d--) lines.push(`  let x${d} = rest % dim(${d}u); rest = rest / dim(${d}u);`);
      lines.push('  let x0 = rest;');
    }
    args.inputs.forEach(({ operand }, i) => {
      const s = strides[i]!;
      let index: string;
      if (s.every((v) => v === 0)) index = '0u';
      else if (rank === 1) index = s[0] === 1 ? 'e' : `e * stride(${i}u, 0u)`;
      else
        index = s
          .map((v, d) => (v === 0 ? '' : `x${d} * stride(${i}u, ${d}u)`))
          .filter(Boolean)
          .join(' + ');
      const { element, expression } = loadExpression(operand.dtype, loads[i]!, `b${plan.inputs[i]}`, index);
      const shared = plan.outputs.includes(plan.inputs[i]!);
      if (operand.dtype === 'bf16' || operand.dtype === 'f16')
        imports.add(`unpack_${operand.dtype}${loads[i] === 'vector' ? '_4' : ''}`);
      if (!shared) declare(plan.inputs[i]!, element);
      lines.push(`  let v${i} = V(${expression});`);
    });

    let constant = 0;
    args.steps.forEach((step, n) => {
      const name = `v${args.inputs.length + n}`;
      const operands = step.args.map((a) => `v${a}`);
      if (step.op === 'constant') {
        lines.push(`  let ${name} = V(u.constants[${constant >> 2}][${constant & 3}]);`);
        constant++;
      } else if (step.op === 'neg') {
        lines.push(`  let ${name} = -${operands[0]};`);
      } else if (infix[step.op]) {
        lines.push(`  let ${name} = ${operands[0]} ${infix[step.op]} ${operands[1]};`);
      } else if (step.op === 'uniform') {
        // A seed's bits are taken as they lie: small whole numbers are denormal floats, which devices may flush to 0.
        const seed = step.args[0]!;
        const bits = seed < args.inputs.length ? `b${plan.inputs[seed]}[0]` : `v${seed}${vec ? '.x' : ''}`;
        imports.add('op_uniform');
        lines.push(`  let ${name} = op_uniform(bitcast<u32>(${bits}), ${operands[1]}, u.first + e);`);
      } else {
        const fn = functionName[step.op]!;
        if (fn.startsWith('op_')) imports.add(fn);
        lines.push(`  let ${name} = ${fn}(${operands.join(', ')});`);
      }
    });
    args.outputs.forEach(({ value }, o) => lines.push(`  b${plan.outputs[o]}[i] = v${value};`));

    return [
      ...(imports.size > 0 ? [`import package::elementwise::functions::{${[...imports].sort().join(', ')}};`] : []),
      `alias V = ${vec ? 'vec4f' : 'f32'};`,
      'struct Uniforms {',
      '  count: u32, inner: u32, first: u32, pad: u32,',
      '  dims: array<vec4u, 2>,',
      ...(args.inputs.length > 0 ? [`  strides: array<vec4u, ${args.inputs.length * 2}>,`] : []),
      ...(constants > 0 ? [`  constants: array<vec4f, ${Math.ceil(constants / 4)}>,`] : []),
      '}',
      '@group(0) @binding(0) var<uniform> u: Uniforms;',
      ...declarations,
      'fn dim(d: u32) -> u32 { return u.dims[d >> 2u][d & 3u]; }',
      ...(args.inputs.length > 0
        ? ['fn stride(i: u32, d: u32) -> u32 { return u.strides[i * 2u + (d >> 2u)][d & 3u]; }']
        : []),
      `@compute @workgroup_size(${WORKGROUP})`,
      'fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {',
      `  let i = (group.x + group.y * groups.x) * ${WORKGROUP}u + lane;`,
      '  if (i >= u.count) { return; }',
      `  let e = i${vec ? ' * 4u' : ''};`,
      ...lines,
      '}',
    ].join('\n');
  };
}
