// Packs every package as it would be published and uses the result as strangers do: in a bare Node project, in TypeScript,
// and bundled for the browser. Run after `npm run build`.
//   node scripts/check-pack.mjs --write-sizes      only measures the bundles, and writes their sizes into README.md
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { measureSizes, sizeTable, withSizes, wrongSizes } from './bundle-sizes.mjs';
import { checkBundles } from './check-bundles.mjs';
import { pack, packages } from './pack.mjs';
import { root, run } from './run.mjs';

const writesSizes = process.argv.includes('--write-sizes');

const work = mkdtempSync(join(tmpdir(), 'lapidary-pack-'));
const problems = [];

async function must(what, start) {
  const code = await start({ stdio: ['ignore', 'ignore', 'inherit'] });
  if (code !== 0) problems.push(`${what}: ended with ${code}`);
  return code === 0;
}

/** Every entry of a package as what a user would import. An entry for Node alone says so in its name. */
const entries = packages.flatMap(({ name, exports }) =>
  Object.keys(exports)
    .filter((path) => !path.endsWith('.json'))
    .map((path) => ({
      specifier: join(name, path).replaceAll('\\', '/'),
      nodeOnly: /(^|[/-])(node|cli)$/.test(path),
      isProgram: path === './cli',
    })),
);

function checkManifest({ folder, ...manifest }) {
  const complain = (what) => problems.push(`${folder}/package.json: ${what}`);
  if (manifest.sideEffects !== false) complain('"sideEffects": false is missing');
  if (manifest.type !== 'module') complain('"type": "module" is missing');
  if (!manifest.files?.includes('dist')) complain('"files" lacks dist');
  if (!manifest.license || !manifest.description) complain('license or description is missing');
  for (const [path, target] of Object.entries(manifest.exports)) {
    if (typeof target === 'object' && target.types === undefined) complain(`exports["${path}"] has no types`);
  }
}

/** What is wrong with the list of files in a tarball. */
function checkTarball(tarball, { folder, exports, imports = {} }) {
  const files = execFileSync('tar', ['tzf', tarball], { encoding: 'utf8' })
    .split('\n')
    .map((file) => file.replace(/^package\//, ''));
  const manifest = JSON.parse(execFileSync('tar', ['xzOf', tarball, 'package/package.json'], { encoding: 'utf8' }));
  if (!files.includes('README.md')) problems.push(`${folder}: has no README.md`);
  for (const file of files) {
    if (/\.test\.|\/testing\/|^src\/|\.bench\./.test(file))
      problems.push(`${folder}: packs ${file}, which users do not need`);
  }
  // Conditions other than our own must lead to a file that is packed.
  const targets = (value) =>
    typeof value === 'string'
      ? [value]
      : Object.entries(value).flatMap(([key, inner]) => (key === 'lapidary-source' ? [] : targets(inner)));
  for (const target of [exports, imports].flatMap((map) => targets(map))) {
    if (!files.includes(target.replace(/^\.\//, ''))) problems.push(`${folder}: ${target} is exported but not packed`);
  }
  for (const [name, range] of Object.entries({ ...manifest.dependencies, ...manifest.peerDependencies })) {
    if (/workspace:|file:|link:/.test(range)) problems.push(`${folder}: packs the dependency ${name}@${range}`);
  }
}

for (const each of packages) checkManifest(each);
const tarballs = [];
for (const each of packages) {
  const { code, tarball } = await pack(each, work, { stdio: ['ignore', 'ignore', 'inherit'] });
  if (code === 0) {
    tarballs.push(tarball);
    checkTarball(tarball, each);
  } else problems.push(`pnpm pack ${each.folder}: ended with ${code}`);
}

const project = join(work, 'project');
mkdirSync(join(project, 'src'), { recursive: true });
writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
const installed = await must('npm install of the tarballs', (options) =>
  run('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', ...tarballs], { ...options, cwd: project }),
);

if (installed && !writesSizes) {
  // 1. Bare Node.
  for (const { specifier, isProgram } of entries) {
    if (isProgram) continue;
    const program = `const all = await import('${specifier}'); if (Object.keys(all).length === 0) throw new Error('exports nothing');`;
    await must(`import '${specifier}' in Node`, (options) =>
      run(process.execPath, ['--input-type=module', '-e', program], { ...options, cwd: project }),
    );
  }

  for (const { bin = {} } of packages) {
    for (const name of Object.keys(bin)) {
      const file = join(project, 'node_modules', '.bin', name);
      await must(`${name} --help`, (options) => run(file, ['--help'], { ...options, cwd: project }));
    }
  }

  // 2. TypeScript: every entry, and the type of what everybody calls first; our declarations are checked like the rest.
  const opens =
    "import { openGpu, type Gpu } from '@lapidary/gpu';\nexport const gpu: Promise<Gpu> = openGpu({ forceSoftware: true });\n";
  const wrong = '// @ts-expect-error an option that there is not\nexport const wrong = openGpu({ noSuchOption: 1 });\n';
  for (const [module, moduleResolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ]) {
    for (const types of [[], ['node']]) {
      const imports = entries
        .filter(({ nodeOnly }) => types.includes('node') || !nodeOnly)
        .map(
          ({ specifier }, i) =>
            `import * as m${i} from '${specifier}';\nexport const n${i}: number = Object.keys(m${i}).length;`,
        );
      writeFileSync(join(project, 'src', 'consumer.ts'), `${imports.join('\n')}\n${opens}${wrong}`);
      const compilerOptions = { module, moduleResolution, types, target: 'es2022', strict: true, noEmit: true };
      Object.assign(compilerOptions, { lib: ['es2023', 'dom', 'dom.iterable'] });
      Object.assign(compilerOptions, { typeRoots: [join(root, 'node_modules', '@types')] });
      writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['src'] }));
      const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
      await must(`tsc with moduleResolution ${moduleResolution} and types [${types}]`, () =>
        run(process.execPath, [tsc, '-p', '.'], { cwd: project }),
      );
    }
  }

  // 3. Bundles for the browser.
  const forBrowsers = entries.filter(({ nodeOnly }) => !nodeOnly).map(({ specifier }) => specifier);
  const found = await checkBundles(project, forBrowsers).catch((error) => [`bundles: ${error.message}`]);
  problems.push(...found);
}

// 4. What the bundles weigh.
if (installed) {
  try {
    await checkSizes();
  } catch (error) {
    problems.push(`sizes of bundles: ${error.message}`);
  }
}

async function checkSizes() {
  const file = join(root, 'README.md');
  const readme = readFileSync(file, 'utf8');
  const names = packages.map(({ name }) => name);
  const rows = await measureSizes(project, names);
  if (writesSizes) return writeFileSync(file, withSizes(readme, rows));
  const wrong = wrongSizes(readme, rows);
  if (wrong.length === 0) return;
  problems.push(
    `README.md tells other sizes than the bundles have (${wrong.join('; ')}). They are:\n\n${sizeTable(rows)}\n\n` +
      '`node scripts/check-pack.mjs --write-sizes` writes them there.',
  );
}

rmSync(work, { recursive: true, force: true });
for (const problem of problems) console.error(problem);
const success = writesSizes
  ? 'README.md has the sizes of the bundles as they are now.'
  : `${packages.length} packages pack, install, import, type-check and bundle.`;
console.log(problems.length === 0 ? success : `${problems.length} problems with packages.`);
process.exitCode = problems.length === 0 ? 0 : 1;
