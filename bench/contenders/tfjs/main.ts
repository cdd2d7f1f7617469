import { serve } from '../serve.js';
import { gemmaOps } from './gemma.js';
import { kernelOps } from './kernels.js';
import { modelOps } from './models.js';
import { openTfjs } from './open-tfjs.js';

await serve(async () => {
  const { tf, about, idle } = await openTfjs();
  return {
    name: 'tfjs',
    version: tf.version.tfjs,
    ...about,
    ops: { ...kernelOps(tf, idle), ...modelOps(tf, idle), ...gemmaOps(tf, idle) },
  };
});
