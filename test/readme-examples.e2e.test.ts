// The READMEs' examples, as they stand there: they type-check and run. Blocks marked `ts fragment` are parts of something larger.
import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const readmes = {
  root: 'README.md',
  shaders: 'shaders/README.md',
  ...Object.fromEntries(
    ['gpu', 'kernels', 'tensor', 'gemma', 'weights', 'trainer', 'lapidary'].map((name) => [
      name,
      `packages/${name}/README.md`,
    ]),
  ),
};

let folder = '';
beforeAll(async () => {
  await mkdir(join(root, 'out'), { recursive: true });
  // Inside the repository, where its packages are found.
  folder = await mkdtemp(join(root, 'out', 'readme-'));
  const config = { extends: '../../tsconfig.base.json', compilerOptions: { noEmit: true }, include: ['*.ts'] };
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
  for (const [name, path] of Object.entries(readmes)) {
    const text = await readFile(join(root, path), 'utf8');
    const blocks = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code);
    // Two steps show that it trains.
    const code = `${blocks.join('\n')}\nexport {};\n`.replace(/\bsteps: \d+/g, 'steps: 2');
    await writeFile(join(folder, `${name}.ts`), code);
  }
});
afterAll(() => rm(folder, { recursive: true }));

/** A folder with what the examples call by these names: a model in Hugging Face's form, and rows. */
async function folderFor(name: string): Promise<string> {
  const made = join(folder, 'run', name);
  await cp(join(root, 'examples/finetune/base'), join(made, 'gemma-3-270m'), { recursive: true });
  await cp(join(root, 'examples/finetune/data/orders.jsonl'), join(made, 'rows.jsonl'));
  return made;
}

function node(args: readonly string[], cwd = folder): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, args, { cwd });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, output })));
}

it('type-check', async () => {
  const { code, output } = await node([createRequire(import.meta.url).resolve('typescript/bin/tsc'), '-p', '.']);
  expect(code, output).toBe(0);
});

it.each(Object.keys(readmes))('%s runs', async (name) => {
  const example = join(folder, `${name}.ts`);
  const { code, output } = await node(
    ['--import', 'tsx', '--conditions=lapidary-source', example],
    await folderFor(name),
  );
  expect(code, output).toBe(0);
});
