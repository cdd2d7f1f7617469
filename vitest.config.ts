import { playwright } from '@vitest/browser-playwright';
import { defineConfig, type TestProjectConfiguration } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { findChromium } from './scripts/find-chromium.mjs';
// The shader package is generated: tests run what the .wesl files say now.
import './shaders/build.mjs';

// Kinds of test file: *.test.ts run everywhere, *.node.test.ts in Node only, *.browser.test.ts in Chromium only, and
// *.e2e.test.ts (long: real checkpoints, examples) in Node on the best adapter only. *.run.test.ts (whole runs) in Chromium and in
// Node on the best adapter. *.slow.test.ts (more than a few seconds: many shaders to compile) run wherever the others do; neither
// they nor whole runs are in the fast lane.
const everywhere = ['packages/*/src/**/*.test.ts', 'test/**/*.test.ts'];
const nodeOnly = '**/*.node.test.ts';
const browserOnly = '**/*.browser.test.ts';
const oneAdapterOnly = '**/*.e2e.test.ts';
// What they try is none of the adapter's, and the others have been tried on both: in Node one adapter is enough.
const run = '**/*.run.test.ts';
const nodeOnlyButOfDevices = ['packages/!(gpu)/**/*.node.test.ts', 'test/**/*.node.test.ts'];
const slow = '**/*.slow*.test.ts';
const never = ['**/node_modules/**', '**/dist/**'];

// Packages see each other's sources through this export condition; the others are Vite's defaults, which a list replaces.
const conditions = ['lapidary-source', 'module', 'development|production'];
// Software adapters use every core themselves.
const filesAtOnce = 2;
// Software adapters compile for seconds to minutes where nothing is cached.
const common = { testTimeout: 300_000, hookTimeout: 120_000 };
const nodeResolve = {
  resolve: { conditions: [...conditions, 'node'] },
  ssr: { resolve: { conditions: [...conditions, 'node'] } },
};

/** Node on the best adapter: a GPU, a system driver such as lavapipe, or else SwiftShader. */
const node: TestProjectConfiguration = {
  ...nodeResolve,
  test: { ...common, name: 'node', include: everywhere, exclude: [...never, browserOnly], provide: { adapter: '' } },
};

/** The inner loop, `npm run check`: what is fast of the above. */
const fast: TestProjectConfiguration = {
  ...nodeResolve,
  test: {
    ...common,
    name: 'fast',
    include: everywhere,
    exclude: [...never, browserOnly, oneAdapterOnly, run, slow],
    provide: { adapter: '' },
  },
};

/** Node on SwiftShader: no shader-f16, subgroups of 4, large bindings; as Chromium without a GPU has it. */
const swiftshader: TestProjectConfiguration = {
  ...nodeResolve,
  test: {
    ...common,
    name: 'node-swiftshader',
    include: everywhere,
    exclude: [...never, browserOnly, oneAdapterOnly, run, ...nodeOnlyButOfDevices],
    setupFiles: ['test/setup/on-swiftshader.ts'],
    provide: { adapter: 'swiftshader' },
  },
};

/** Headless Chromium. */
async function chromium(): Promise<TestProjectConfiguration> {
  const found = await findChromium();
  return {
    resolve: { conditions: [...conditions, 'browser'] },
    // Served as it is: bundling a dependency found on the way would reload the page in the middle of a test. What is no ESM is
    // bundled before.
    optimizeDeps: { noDiscovery: true, include: ['@lapidary/trainer > papaparse'] },
    server: {
      headers: { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' },
    },
    test: {
      ...common,
      name: 'chromium',
      // Pages of their own contexts: they share the browser's GPU process and nothing else.
      maxWorkers: filesAtOnce,
      include: everywhere,
      exclude: [...never, nodeOnly, oneAdapterOnly],
      provide: { adapter: '' },
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        provider: playwright({
          launchOptions: {
            ...(found && {
              executablePath: found.executablePath,
              env: { ...process.env, ...found.env } as Record<string, string>,
            }),
            args: ['--no-sandbox', '--enable-unsafe-webgpu'],
          },
        }),
        instances: [{ browser: 'chromium' }],
      },
    },
  };
}

// `vitest run packages/x` tests on one adapter; `--project node-swiftshader`, `--project chromium` on the others.
const chosen = process.argv.join(' ').match(/--project[= ](\S+)/g) ?? [];
const wants = (name: string) => chosen.some((argument) => argument.endsWith(name));

/** What its name says takes long goes first, else a core would wait for it at the end. */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const kinds = [/\.e2e\./, /\.run\./, /\.slow\./, /./];
    const kindOf = ({ moduleId }: TestSpecification) => kinds.findIndex((kind) => kind.test(moduleId));
    return kinds.flatMap((_, kind) => sorted.filter((file) => kindOf(file) === kind));
  }
}

export default defineConfig(async () => ({
  test: {
    maxWorkers: filesAtOnce,
    sequence: { sequencer: LongFirst },
    projects: [
      node,
      ...(wants('fast') ? [fast] : []),
      ...(wants('node-swiftshader') ? [swiftshader] : []),
      ...(wants('chromium') ? [await chromium()] : []),
    ],
  },
}));
