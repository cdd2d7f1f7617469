// The peers are installed on first use only, so their types are not there to check against.
declare module '@jax-js/jax';
declare module '@tensorflow/tfjs';
declare module '@tensorflow/tfjs-backend-webgpu';
declare module 'webgpu';
