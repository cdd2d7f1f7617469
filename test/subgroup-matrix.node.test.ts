import { createRequire } from 'node:module';
import { type DawnModule, linkShader, openGpu } from '@lapidary/gpu';
import { matmul, type MatmulVariant } from '@lapidary/kernels';
import { expect, it } from 'vitest';

const orders = [false, true].flatMap((transposeA) => [false, true].map((transposeB) => ({ transposeA, transposeB })));
const variants: MatmulVariant[] = ['matrix64', 'matrix128', 'half64', 'half128'];

// Few adapters of test machines have subgroup matrices. Dawn's null backend, which runs nothing, has every feature: it looks at the
// shaders as others do.
it('the shaders of products by subgroup matrices are valid', async () => {
  // A dependency of @lapidary/gpu.
  const require = createRequire(new URL('../packages/gpu/package.json', import.meta.url));
  const dawn = (await import(require.resolve('webgpu'))) as DawnModule;
  const gpu = await openGpu({
    dawn: { ...dawn, create: (flags) => dawn.create([...flags, 'backend=null']) },
    requiredFeatures: ['chromium-experimental-subgroup-matrix', 'shader-f16', 'subgroups'],
  });
  const limits = { ...gpu.profile.limits, maxComputeWorkgroupStorageSize: 49_152 };
  const device = {
    ...gpu.profile,
    limits,
    subgroupSize: { min: 32, max: 32 },
    subgroupMatrix: { m: 16, n: 16, k: 16 },
  };
  const operand = { buffer: 'x', offset: 0, dtype: 'f32' as const };
  for (const variant of variants) {
    for (const order of orders) {
      for (const dtype of ['f32', 'bf16', 'q4_k'] as const) {
        const b = { ...operand, dtype };
        const [call] = matmul(device, { a: operand, b, out: operand, m: 256, n: 256, k: 256, ...order, variant });
        const { code } = await linkShader(call!);
        const messages = (await gpu.device.createShaderModule({ code }).getCompilationInfo()).messages;
        expect(messages.filter(({ type }) => type === 'error').map(({ message }) => message)).toEqual([]);
      }
    }
  }
  gpu.destroy();
});
