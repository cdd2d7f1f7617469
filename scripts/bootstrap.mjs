// The README's commands come through here: installs what is missing, then runs them. Needs only Node and npm.
//   node scripts/bootstrap.mjs test [step …] | check [part of a path …] | build | pack [folder] | bench [peers | kernels | rows | pack] [part of a name …] | fuzz [reader …] [option …] | example <name> [argument …]
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, pnpm, root, run } from './run.mjs';

/** The lock file and every package.json: what an installation depends on. */
function installationKey() {
  const hash = createHash('sha256').update(process.version);
  const folders = ['packages', 'examples'].flatMap((parent) =>
    existsSync(join(root, parent)) ? readdirSync(join(root, parent)).map((name) => join(parent, name)) : [],
  );
  const manifests = ['.', 'shaders', ...folders.sort()].map((folder) => join(folder, 'package.json'));
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', ...manifests]) {
    if (existsSync(join(root, file))) hash.update(readFileSync(join(root, file)));
  }
  return hash.digest('hex');
}

/** Installs exactly what the lock file says, unless that was done already. */
async function install() {
  const stamp = join(root, 'node_modules', '.lapidary-installed');
  const key = installationKey();
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === key) return;
  const code = await pnpm(['install', '--frozen-lockfile'], { env: { CI: 'true' } });
  if (code !== 0) {
    console.error(
      'The dependencies could not be installed: see above. Node 20 or later, npm and a network are needed.',
    );
    process.exit(code);
  }
  writeFileSync(stamp, key);
}

/** `peers`: once, what to compare with is installed. `kernels`: each package's own benchmarks. `rows`: runs on many rows. Else the suite in bench/. */
async function bench([first, ...rest]) {
  if (first === 'kernels') {
    const files = readdirSync(join(root, 'packages'), { recursive: true })
      .filter((file) => file.endsWith('.bench.ts') && !file.includes('node_modules'))
      .sort();
    for (const file of files) {
      const code = await run(process.execPath, [...source, join('packages', file), ...rest]);
      if (code !== 0) return code;
    }
    return 0;
  }
  const folder = join(root, 'bench');
  if (first === 'rows') return run(process.execPath, [...source, join(folder, 'rows/main.ts'), ...rest]);
  if (first === 'pack') return run(process.execPath, [...source, join(folder, 'pack.ts'), ...rest]);
  if (first === 'peers' && !existsSync(join(folder, 'node_modules'))) {
    const code = await run('npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts'], { cwd: folder });
    // Without a network we are measured alone.
    if (code !== 0) console.error('What to compare with could not be installed: see above.');
  }
  const cases = first === undefined || first === 'peers' ? rest : [first, ...rest];
  return run(process.execPath, [...source, join(folder, 'main.ts'), ...cases]);
}

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 3)) {
  console.error(`Node 20.3 or later is needed; this is ${process.version}.`);
  process.exit(1);
}
const [command, ...args] = process.argv.slice(2);
await install();
// Shaders are gathered into a module once more, since their sources may have changed.
await import('../shaders/build.mjs');
// By its address: the example may run in any folder.
const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const source = ['--import', tsx, '--conditions=lapidary-source'];

if (command === 'test') {
  process.exitCode = await run(process.execPath, ['scripts/test.mjs', ...args]);
} else if (command === 'check') {
  process.exitCode = await run(process.execPath, ['scripts/check.mjs', ...args]);
} else if (command === 'example' && args.length > 0) {
  const [name, ...rest] = args;
  const folder = join('examples', name);
  const { main = 'main.ts' } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
  // Run where the user stands, so that their relative paths mean what they say.
  const cwd = process.env.INIT_CWD ?? process.cwd();
  process.exitCode = await run(process.execPath, [...source, join(root, folder, main), ...rest], { cwd });
} else if (command === 'build') {
  process.exitCode = await build();
} else if (command === 'pack') {
  const [folder, ...rest] = args;
  const target = folder === undefined ? [] : [resolve(process.env.INIT_CWD ?? process.cwd(), folder)];
  process.exitCode = await run(process.execPath, ['scripts/pack.mjs', ...target, ...rest]);
} else if (command === 'bench') {
  process.exitCode = await bench(args);
} else if (command === 'fuzz') {
  process.exitCode = await run(process.execPath, [...source, join(root, 'test', 'fuzz', 'main-node.ts'), ...args]);
} else {
  console.error(
    'usage: node scripts/bootstrap.mjs test [step …] | check [part of a path …] | build | pack [folder] | bench [peers | kernels | rows | pack] [part of a name …] | fuzz [reader …] [option …] | example <name> [argument …]',
  );
  process.exitCode = 2;
}
