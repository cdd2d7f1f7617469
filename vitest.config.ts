import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { conditions: ['lapidary-source'] },
  ssr: { resolve: { conditions: ['lapidary-source'] } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    fileParallelism: false,
  },
});
