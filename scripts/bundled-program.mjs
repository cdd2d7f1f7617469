// A program that uses every package, which check-pack.mjs bundles and runs in a page and in a Worker; scripts beside it await `run`.
import { decodeImage, gemmaPresets } from '@lapidary/gemma';
import { describeAdapter, openGpu } from '@lapidary/gpu';
import { isQuantised, tuneKernels } from '@lapidary/kernels';
import { evaluate, matmul, variableFrom } from '@lapidary/tensor';
import { resolveTrainConfig } from '@lapidary/trainer';
import { bufferSource, gemmaWeightLoader, openSafetensors, safetensorsToBytes } from '@lapidary/weights';
import { TextModel } from 'lapidary';

const rows = 3;
const inner = 5;
const columns = 4;
const numbers = (count, seed) => Float32Array.from({ length: count }, (_, i) => ((i * 7 + seed) % 11) - 5);

function expect(what, found, wanted) {
  const [a, b] = [found, wanted].map((value) => JSON.stringify(value));
  if (a !== b) throw new Error(`${what}: ${a}, not ${b}`);
}

/** A matrix through a safetensors file and back. */
async function throughSafetensors(values, shape) {
  const bytes = new Uint8Array(values.buffer);
  const file = await safetensorsToBytes(new Map([['w', { dtype: 'f32', shape, bytes }]]));
  const { tensors } = await openSafetensors(bufferSource('w.safetensors', file));
  const { source, offset, byteLength, ...stored } = tensors.get('w');
  expect('shape in the file', stored.shape, shape);
  return new Float32Array((await source.read(offset, byteLength)).buffer);
}

async function multiply(gpu) {
  const a = numbers(rows * inner, 1);
  const b = await throughSafetensors(numbers(inner * columns, 2), [inner, columns]);
  const operands = [variableFrom(gpu, a, [rows, inner]), variableFrom(gpu, b, [inner, columns])];
  const [product] = await evaluate(gpu, [matmul(operands[0].tensor, operands[1].tensor)]);
  const wanted = Array.from({ length: rows * columns }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    return Array.from({ length: inner }, (_, k) => a[row * inner + k] * b[k * columns + column]).reduce(
      (x, y) => x + y,
    );
  });
  // Small whole numbers: exact in f32.
  expect('product', [...product], wanted);
  return product.length;
}

/** Measuring is loaded when it begins, as the self-test is: by an `import()` that bundlers make a file of. */
async function tune(gpu) {
  const product = { m: 16, n: 16, k: 16, batch: 1, transposeA: false, transposeB: true, dtype: 'f32' };
  const { products } = await tuneKernels(gpu, [product], { store: null, clock: async () => 1e7 });
  expect('measured', products[0].from, 'measured');
  return products[0].candidates.length;
}

async function picture() {
  const canvas = new OffscreenCanvas(6, 4);
  canvas.getContext('2d').fillRect(0, 0, 6, 4);
  const { width, height } = await decodeImage(await canvas.convertToBlob());
  expect('picture', [width, height], [6, 4]);
  return `${width}×${height}`;
}

/** What it found, in a line. */
export async function run() {
  const gpu = await openGpu();
  const config = resolveTrainConfig({
    weightLoader: gemmaWeightLoader({ from: new Blob([]) }),
    data: { source: [{ prompt: 'a', completion: 'b' }] },
    lora: { rank: 4, alpha: 8 },
    steps: 3,
    outDir: 'run',
  });
  expect('config', [config.steps, config.lora.rank], [3, 4]);
  expect('a kernel type', isQuantised('q4_k'), true);
  expect('a model', typeof TextModel.open, 'function');
  const parts = [
    describeAdapter(gpu.profile.adapter),
    `${await multiply(gpu)} products right`,
    `${await tune(gpu)} variants measured`,
    `picture ${await picture()}`,
    `${Object.keys(gemmaPresets).length} presets`,
  ];
  await gpu.idle();
  gpu.destroy();
  return parts.join(', ');
}
