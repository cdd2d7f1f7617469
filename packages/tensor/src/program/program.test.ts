import { openGpu, type Gpu } from '@lapidary/gpu';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  add,
  cast,
  compile,
  constantI32,
  embedding,
  mul,
  planProgram,
  Program,
  ProgramInputError,
  ProgramOutputError,
  reshape,
  sharedInputBytes,
  SlotPool,
  softmax,
  TensorLike,
  trace,
  Variable,
  type HostData,
  type Tensor,
} from '../index.js';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu.destroy());

it('prepare compiles what a program takes, before its variables are there, and allocates nothing', async () => {
  const own = await openGpu();
  const x = new Variable('x', { shape: [2, 3], dtype: 'f32' }, 'weights');
  const plan = planProgram(own.profile, [softmax(add(x.tensor, 1))], []);
  await Program.prepare(own, plan);
  const { created } = own.pipelines;
  expect(created).toBeGreaterThanOrEqual(2);
  expect(own.counters.bytes).toBe(0);
  x.allocate(own).write(new Float32Array(6));
  const program = await Program.create(own, plan);
  expect(own.pipelines.created).toBe(created);
  program.run();
  for (const value of await program.read(0)) expect(value).toBeCloseTo(1 / 3, 6);
  own.destroy();
});

it('a pool that cannot be made whole leaves nothing', () => {
  const { bytes } = gpu.counters;
  const plan = { ...planProgram(gpu.profile, [], []), slotBytes: [64, 64, 64] };
  const create = gpu.createBuffer.bind(gpu);
  const made = vi.spyOn(gpu, 'createBuffer').mockImplementation((size, label, usage) => {
    if (label === 'shared 2') throw new Error('no memory');
    return create(size, label, usage);
  });
  expect(() => new SlotPool(gpu, [plan])).toThrow('no memory');
  expect(made).toHaveBeenCalledTimes(3);
  made.mockRestore();
  expect(gpu.counters.bytes).toBe(bytes);
});

it('programs of a pool share the memory of inputs by name, each with its own values', async () => {
  const planOf = (length: number) =>
    trace(gpu.profile, ({ x, y }) => ({ outputs: { sum: add(x, mul(y, 10)) } }), {
      x: new TensorLike('f32', [length]),
      y: new TensorLike('f32', [1]),
    }).plan;
  const plans = [planOf(2), planOf(5)] as const;
  expect([...sharedInputBytes(plans)]).toEqual([
    ['x', 20],
    ['y', 4],
  ]);
  const pool = new SlotPool(gpu, plans);
  const { bytes } = gpu.counters;
  const [short, long] = await Promise.all(plans.map((plan) => Program.create(gpu, plan, pool)));
  // Outputs, what reads them back, and constants.
  expect(gpu.counters.bytes - bytes).toBe(
    2 * (8 + 20) + plans.reduce((sum, { memory }) => sum + memory.overhead, 0) - 28,
  );
  long!.run({ x: Float32Array.of(1, 2, 3, 4, 5), y: Float32Array.of(1) });
  short!.run({ x: Float32Array.of(6, 7), y: Float32Array.of(2) });
  expect([...(await long!.read('sum'))]).toEqual([11, 12, 13, 14, 15]);
  expect([...(await short!.read('sum'))]).toEqual([26, 27]);
  for (const program of [short, long]) program!.destroy();
  pool.destroy();
});

describe('what the host writes', () => {
  const written = async (dtype: TensorLike['dtype'], shape: number[], data: HostData) => {
    const plan = trace(gpu.profile, ({ x }) => ({ outputs: { y: add(x!, 0) } }), {
      x: new TensorLike(dtype, shape),
    }).plan;
    const program = await Program.create(gpu, plan);
    try {
      program.run({ x: data });
      return [...(await program.read('y'))];
    } finally {
      program.destroy();
    }
  };
  const bytes = (data: ArrayBufferView) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  /** 1, 2, 3. */
  const floats = Float32Array.of(1, 2, 3);
  const wholes = Int32Array.of(1, 2, 3);
  const halves = { f16: Uint16Array.of(0x3c00, 0x4000, 0x4200), bf16: Uint16Array.of(0x3f80, 0x4000, 0x4040) };

  it.each<[TensorLike['dtype'], HostData]>([
    ['f32', floats],
    ['f32', bytes(floats)],
    ['i32', wholes],
    ['i32', bytes(wholes)],
    ['f16', halves.f16],
    ['bf16', halves.bf16],
    ['bf16', bytes(halves.bf16)],
    // A window of a larger array.
    ['f32', Float32Array.of(9, 1, 2, 3, 9).subarray(1, 4)],
    ['bf16', Uint16Array.of(9, 0x3f80, 0x4000, 0x4040, 9).subarray(1, 4)],
  ])('is read as %s', async (dtype, data) => {
    expect(await written(dtype, [3], data)).toEqual([1, 2, 3]);
  });

  /** Blocks of q8_0 with the scale 1, each of whose values is its row: [rows, 32]. */
  const blocks = (rows: number) =>
    Uint8Array.from({ length: rows * 34 }, (_, i) => (i % 34 < 2 ? [0x00, 0x3c][i % 34]! : Math.floor(i / 34)));

  it.each<[TensorLike['dtype'], number, HostData]>([
    ['bf16', 2, Uint16Array.from({ length: 12 }, (_, i) => [0, 0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0][i >> 1]!)],
    ['q8_0', 32, blocks(6)],
  ])('rows of %s are cut into more, of whole blocks, and looked up', async (dtype, width, data) => {
    const types = { rows: new TensorLike(dtype, [2, 3 * width]), ids: new TensorLike('i32', [4]) };
    const { plan } = trace(
      gpu.profile,
      ({ rows, ids }) => ({
        outputs: { all: cast(rows, 'f32'), found: embedding(reshape(rows, [6, width]), ids) },
      }),
      types,
    );
    const program = await Program.create(gpu, plan);
    program.run({ rows: data, ids: Int32Array.of(5, 0, 3, 3) });
    const row = (values: Float32Array) => [...values].filter((_, i) => i % width === width - 1);
    expect(row(await program.read('all'))).toEqual([0, 1, 2, 3, 4, 5]);
    expect(row(await program.read('found'))).toEqual([5, 0, 3, 3]);
    expect(plan.memory.inputs).toBe(data.byteLength + 16);
    program.destroy();
  });

  it.each<[TensorLike['dtype'], HostData]>([
    ['i32', floats],
    ['i32', Uint32Array.of(1, 2, 3)],
    ['f32', wholes],
    ['f32', Uint16Array.of(1, 2, 3, 4, 5, 6)],
    ['bf16', floats.subarray(0, 2)],
    ['f16', wholes.subarray(0, 2)],
  ])('is refused for %s where it holds other values', async (dtype, data) => {
    const wrong = written(dtype, [3], data);
    await expect(wrong).rejects.toBeInstanceOf(ProgramInputError);
    await expect(wrong).rejects.toThrow(/^input 'x' is \w+\[3\], whose values a \w+Array does not hold/);
  });

  it.each<[TensorLike['dtype'], HostData]>([
    ['f32', floats.subarray(1)],
    ['f32', bytes(floats).subarray(1)],
    ['i32', Int32Array.of(1, 2, 3, 4)],
    ['bf16', halves.bf16.subarray(1)],
    ['bf16', Uint16Array.of(1, 2, 3, 4)],
  ])('is refused for %s where it is too short or too long', async (dtype, data) => {
    await expect(written(dtype, [3], data)).rejects.toThrow(/^input 'x' is \w+\[3\]: \d+ bytes, not \d+/);
  });

  it('changes nothing where one of several is wrong', async () => {
    const types = { x: new TensorLike('f32', [1]), y: new TensorLike('f32', [1]) };
    const program = await Program.create(
      gpu,
      trace(gpu.profile, ({ x, y }) => ({ outputs: { sum: add(x, mul(y, 10)) } }), types).plan,
    );
    program.run({ x: Float32Array.of(1), y: Float32Array.of(2) });
    expect(() => program.run({ x: Float32Array.of(5), y: Int32Array.of(6) })).toThrow(ProgramInputError);
    expect(() => program.run({ x: Float32Array.of(5) } as never)).toThrow(/'y' \(f32\[1\]\) is missing/);
    expect(() => program.run({ x: Float32Array.of(5), z: floats } as never)).toThrow(/no input 'z'; it has: x, y/);
    expect(program.runs).toBe(1);
    expect([...(await program.read('sum'))]).toEqual([21]);
    program.destroy();
  });
});

describe('what a program gives', () => {
  const types = { x: new TensorLike('f32', [2]) };
  const build = ({ x }: { readonly x: Tensor }) => ({
    outputs: { twice: mul(x, 2), whole: constantI32(7, [1]), half: cast(x, 'bf16') },
  });
  const make = () => Program.create(gpu, trace(gpu.profile, build, types).plan);

  it('is f32 or bytes, by its name or number', async () => {
    const program = await make();
    program.run({ x: Float32Array.of(1, 2) });
    expect([...(await program.read('twice'))]).toEqual([2, 4]);
    expect([...(await program.read(0))]).toEqual([2, 4]);
    expect([...new Int32Array(await program.readBytes(1))]).toEqual([7]);
    expect([...new Uint16Array(await program.readBytes(2))]).toEqual([0x3f80, 0x4000]);
    for (const [name, type] of [
      ['whole', 'i32[1]'],
      ['half', 'bf16[2]'],
    ] as const)
      await expect(program.read(name)).rejects.toThrow(`output '${name}' is ${type}: use readBytes()`);
    for (const none of [3, -1, 0.5, Number.NaN]) {
      await expect(program.read(none)).rejects.toBeInstanceOf(ProgramOutputError);
      await expect(program.readBytes(none)).rejects.toThrow(/^no output '.*'; there are 3: twice, whole, half/);
    }
    await expect(program.read('thrice' as 'twice')).rejects.toThrow(/^no output 'thrice'/);
    program.destroy();
  });

  it('is gone with it', async () => {
    const { bytes } = gpu.counters;
    const program = await make();
    program.run({ x: Float32Array.of(1, 2) });
    const reading = expect(program.read('twice')).rejects.toThrow(/was destroyed/);
    program.destroy();
    await reading;
    expect(() => program.run({ x: Float32Array.of(1, 2) })).toThrow(ProgramInputError);
    await expect(program.profile({ x: Float32Array.of(1, 2) })).rejects.toBeInstanceOf(ProgramInputError);
    await expect(program.readBytes(0)).rejects.toBeInstanceOf(ProgramInputError);
    expect(gpu.counters.bytes).toBe(bytes);
  });

  it('is of the last run when it is asked for, or an error', async () => {
    const program = await make();
    const run = (value: number) => program.run({ x: Float32Array.of(value, value) });
    run(1);
    const [first, second] = [program.read('twice'), program.read(0)];
    expect([...(await first)]).toEqual([2, 2]);
    // Not copied yet when the next run comes.
    const late = program.read('twice');
    run(2);
    await expect(late).rejects.toThrow(ProgramOutputError);
    expect([...(await second)]).toEqual([2, 2]);
    expect([...(await program.read('twice'))]).toEqual([4, 4]);
    program.destroy();
  });
});

it('a result is of its own call, or an error', async () => {
  const step = compile(gpu, ({ x }) => ({ outputs: { y: mul(x!, 3) } }));
  const call = (...values: number[]) => step({ x: { data: Float32Array.from(values), shape: [values.length] } });
  const first = await call(1);
  expect([...(await first.read('y'))]).toEqual([3]);
  // Other shapes are another program.
  const wide = await call(1, 2);
  expect([...(await first.read('y'))]).toEqual([3]);
  const second = await call(2);
  await expect(first.read('y')).rejects.toThrow(/a later run has overwritten this result: read what is wanted/);
  await expect(first.read('y')).rejects.toBeInstanceOf(ProgramOutputError);
  expect([...(await second.read('y'))]).toEqual([6]);
  expect([...(await wide.read('y'))]).toEqual([3, 6]);
  await expect(second.read('z')).rejects.toThrow(/^no output 'z'; there are 1: y/);
  step.destroy();
});
