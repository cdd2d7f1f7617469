import { serve } from '../serve.js';
import { gemmaOps } from './gemma.js';
import { kernelOps } from './kernels.js';
import { modelOps } from './models.js';
import { openJax } from './open-jax.js';

await serve(async () => {
  const { jax, about } = await openJax();
  return { name: 'jax-js', version: '', ...about, ops: { ...kernelOps(jax), ...modelOps(jax), ...gemmaOps(jax) } };
});
