import { byteLength, dtypeInfo, readBuffer, storageBytes, type DType } from '@lapidary/kernels';
import type { Gpu } from '@lapidary/gpu';
import { addNode, formatType, sizeOf, type Tensor, type TensorType } from './graph.js';

/** What a variable's bytes count as in memory plans. */
export type VariableCategory = 'weights' | 'trainable' | 'optimizer' | 'cache' | 'state';

/** A variable of no shape or type, one that has no memory yet, or values that are not its own: too few, too many, of another type. */
export class VariableError extends Error {
  override readonly name = 'VariableError';
}

/**
 * Memory that outlives programs: parameters, optimiser state, caches. Made abstract (shape and dtype only), so that a
 * program can be traced and its memory planned before anything is allocated; `allocate` gives it a buffer.
 */
export class Variable {
  readonly name: string;
  readonly type: TensorType;
  readonly category: VariableCategory;
  /** The variable as a leaf of the graph. */
  readonly tensor: Tensor;
  #gpu: Gpu | undefined;
  #buffer: GPUBuffer | undefined;

  constructor(name: string, type: TensorType, category: VariableCategory) {
    checkType(`variable '${String(name)}'`, type);
    this.name = name;
    this.type = type;
    this.category = category;
    this.tensor = addNode({ name: `variable ${name}`, inputs: [], outputs: [type], variable: this })[0]!;
  }

  /** Bytes in GPU memory. */
  get bytes(): number {
    return storageBytes(this.type.dtype, sizeOf(this.type.shape));
  }

  get buffer(): GPUBuffer {
    if (this.#buffer === undefined)
      throw new VariableError(`variable '${this.name}' has no memory yet: call allocate(gpu) first`);
    return this.#buffer;
  }

  get isAllocated(): boolean {
    return this.#buffer !== undefined;
  }

  /** Gives the variable a buffer (zeros). Twice is harmless. */
  allocate(gpu: Gpu): this {
    if (this.#buffer === undefined) {
      this.#gpu = gpu;
      this.#buffer = gpu.createBuffer(this.bytes, this.name);
    }
    return this;
  }

  /** Writes raw bytes (in the variable's dtype) at a byte offset; offset a multiple of 4. */
  write(data: ArrayBufferView, byteOffset = 0): void {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    if (byteOffset % 4 !== 0 || byteOffset + bytes.byteLength > this.buffer.size) {
      throw new VariableError(
        `variable '${this.name}': ${bytes.byteLength} bytes at offset ${byteOffset} do not fit its ${this.buffer.size} bytes`,
      );
    }
    const padded = bytes.byteLength % 4 === 0 ? bytes : new Uint8Array(Math.ceil(bytes.byteLength / 4) * 4);
    if (padded !== bytes) padded.set(bytes);
    this.#gpu!.device.queue.writeBuffer(this.buffer, byteOffset, padded as Uint8Array<ArrayBuffer>);
  }

  /** The raw bytes, copied back from the GPU; with arguments a part of them (both multiples of 4). */
  async readBytes(byteOffset = 0, bytes = this.buffer.size - byteOffset): Promise<Uint8Array> {
    return new Uint8Array(await readBuffer(this.#gpu!, this.buffer, byteOffset, bytes));
  }

  /** The values of an f32 variable. */
  async read(): Promise<Float32Array> {
    if (this.type.dtype !== 'f32')
      throw new VariableError(`variable '${this.name}' is ${this.type.dtype}: use readBytes()`);
    return new Float32Array((await this.readBytes()).buffer, 0, sizeOf(this.type.shape));
  }

  /** Gives the memory back. */
  destroy(): void {
    if (this.#buffer !== undefined) this.#gpu!.destroyBuffer(this.#buffer);
    this.#buffer = undefined;
  }
}

/** @throws VariableError for what is no shape or no dtype, also from callers without types */
export function checkType(what: string, type: TensorType): void {
  if (typeof type !== 'object' || type === null)
    throw new VariableError(`${what}: its type must be an object of shape and dtype, not ${String(type)}`);
  const { shape, dtype } = type;
  if (!Array.isArray(shape) || !shape.every((size) => Number.isSafeInteger(size) && size >= 0))
    throw new VariableError(`${what}: its shape must be a list of whole numbers, not ${String(shape)}`);
  if (!Object.hasOwn(dtypeInfo, dtype))
    throw new VariableError(
      `${what}: there is no dtype ${String(dtype)}; there are ${Object.keys(dtypeInfo).join(', ')}`,
    );
  const { blockSize } = dtypeInfo[dtype];
  if (!Number.isSafeInteger(sizeOf(shape)) || sizeOf(shape) % blockSize !== 0)
    throw new VariableError(`${what}: ${formatType({ shape, dtype })} has no whole number of blocks of ${blockSize}`);
}

/** What arrays of numbers hold; bytes (Uint8Array and others) are taken to be the dtype's own. */
const numbersOf: readonly (readonly [array: { new (length: number): ArrayBufferView }, dtypes: readonly DType[]])[] = [
  [Float64Array, []],
  [Float32Array, ['f32']],
  [Int32Array, ['i32']],
  [Uint32Array, ['u32']],
  [Uint16Array, ['f16', 'bf16']],
];

/** @throws VariableError where `data` are not just the values of such a tensor */
function checkData(name: string, data: unknown, type: TensorType): asserts data is ArrayBufferView {
  const refuse = (problem: string): never => {
    throw new VariableError(`variable '${name}', ${formatType(type)}: ${problem}`);
  };
  if (!ArrayBuffer.isView(data)) return refuse('its values must be a typed array, such as a Float32Array');
  const [array, dtypes] = numbersOf.find(([kind]) => data instanceof kind) ?? [];
  if (array !== undefined && !dtypes?.includes(type.dtype))
    refuse(`its values are a ${array.name}; give \`dtype\`, or values of this one`);
  const expected = byteLength(type.dtype, sizeOf(type.shape));
  if (data.byteLength !== expected) refuse(`it takes ${expected} bytes, and its values have ${data.byteLength}`);
}

/**
 * A variable on the device with these values. `data` must be of the dtype's own bytes, as many as the shape takes.
 * @throws VariableError before anything is allocated
 */
export function variableFrom(
  gpu: Gpu,
  data: ArrayBufferView,
  shape: readonly number[],
  options: { dtype?: DType; name?: string; category?: VariableCategory } = {},
): Variable {
  if (typeof options !== 'object' || options === null)
    throw new VariableError(`variableFrom: options must be an object, not ${String(options)}`);
  const { dtype = 'f32', name = 'variable', category = 'weights' } = options;
  const variable = new Variable(name, { shape, dtype }, category);
  checkData(name, data, variable.type);
  if (typeof gpu?.createBuffer !== 'function')
    throw new VariableError(`variable '${name}': gpu must be what openGpu gives, not ${String(gpu)}`);
  variable.allocate(gpu).write(data);
  return variable;
}
