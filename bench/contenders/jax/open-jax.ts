import { describe, installNavigator, installWebGpu } from '../dawn.js';

type Step = (value: unknown, index: number) => unknown;

/** Node 20 lacks the iterator helpers that jax-js uses. */
function addIteratorHelpers(): void {
  const prototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));
  const helpers: Record<string, (this: Iterable<unknown>, f: Step, start?: unknown) => unknown> = {
    *map(f) {
      let i = 0;
      for (const x of this) yield f(x, i++);
    },
    *filter(f) {
      let i = 0;
      for (const x of this) if (f(x, i++)) yield x;
    },
    toArray() {
      return [...this];
    },
    some(f) {
      return [...this].some(f);
    },
    every(f) {
      return [...this].every(f);
    },
    reduce(f, start) {
      return [...this].reduce(f as (sum: unknown, x: unknown) => unknown, start);
    },
    forEach(f) {
      [...this].forEach(f);
    },
  };
  for (const [name, value] of Object.entries(helpers))
    if (!(name in prototype)) Object.defineProperty(prototype, name, { value, configurable: true, writable: true });
}

/** jax-js on Dawn in Node. */
export async function openJax() {
  addIteratorHelpers();
  const gpu = await installWebGpu();
  installNavigator(gpu);
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  const about = describe(adapter!.info);
  const jax = await import('@jax-js/jax');
  const devices: string[] = await jax.init('webgpu');
  if (!devices.includes('webgpu')) throw new Error('jax-js found no WebGPU');
  jax.defaultDevice('webgpu');
  return { jax, about };
}

export type Jax = Awaited<ReturnType<typeof openJax>>['jax'];
