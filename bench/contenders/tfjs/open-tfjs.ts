import { describe, installNavigator, installWebGpu } from '../dawn.js';

/** TensorFlow.js on Dawn in Node: a browser's document, and an adapter whose features it asks for in a list of lists. */
export async function openTfjs() {
  const gpu = await installWebGpu();
  let device: GPUDevice | undefined;
  const requestAdapter = async (options?: GPURequestAdapterOptions) => {
    const adapter = await gpu.requestAdapter(options);
    if (adapter === null) return null;
    return new Proxy(adapter, {
      get(target, key) {
        if (key === 'requestDevice')
          return async (descriptor: GPUDeviceDescriptor) => {
            const features = [...(descriptor.requiredFeatures ?? [])].flat();
            device = await target.requestDevice({
              ...descriptor,
              requiredFeatures: features.filter((feature) => feature !== 'bgra8unorm-storage'),
            });
            return device;
          };
        const value = target[key as keyof GPUAdapter] as unknown;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  };
  const about = describe((await gpu.requestAdapter({ powerPreference: 'high-performance' }))!.info);
  installNavigator({
    requestAdapter,
    getPreferredCanvasFormat: () => 'bgra8unorm',
    wgslLanguageFeatures: gpu.wgslLanguageFeatures,
  });
  Object.assign(globalThis, {
    self: globalThis,
    document: {
      createElement: () => ({ style: {}, getContext: () => ({ configure() {} }) }),
      body: { appendChild() {} },
    },
  });
  const loaded = await import('@tensorflow/tfjs');
  const tf = loaded.default ?? loaded;
  await import('@tensorflow/tfjs-backend-webgpu');
  if (!(await tf.setBackend('webgpu'))) throw new Error('TensorFlow.js found no WebGPU');
  await tf.ready();
  return { tf, about, idle: () => idle(tf, device!) };
}

/** There is no way to ask TensorFlow.js to wait without reading. */
async function idle(tf: Tf, device: GPUDevice): Promise<void> {
  const backend = tf.backend();
  backend.endComputePassEncoder?.();
  backend.submitQueue?.();
  await device.queue.onSubmittedWorkDone();
}

// biome-ignore lint/suspicious/noExplicitAny: the peer has no types here
export type Tf = any;
