// Packs every package as it would be published, into tarballs that `npm install` takes.
//   npm run pack -- [folder]      builds first; default: out/packages
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, pnpm, root } from './run.mjs';

/** Every package with its folder, those that others need first. */
export const packages = ['shaders', ...readdirSync(join(root, 'packages')).map((name) => join('packages', name))].map(
  (folder) => ({ folder, ...JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) }),
);

/** Packs one into `target`; gives the exit code and the tarball. */
export async function pack({ folder }, target, options = {}) {
  const tarball = join(target, `${folder.replaceAll(/[\\/]/g, '-')}.tgz`);
  return { code: await pnpm(['pack', '--out', tarball], { ...options, cwd: join(root, folder) }), tarball };
}

async function packAll(target) {
  const built = await build();
  if (built !== 0) return built;
  mkdirSync(target, { recursive: true });
  const tarballs = [];
  for (const each of packages) {
    const { code, tarball } = await pack(each, target, { stdio: ['ignore', 'ignore', 'inherit'] });
    if (code !== 0) return code;
    tarballs.push(tarball);
  }
  console.log(`In a project of your own:\n\n  npm install ${tarballs.join(' ')}`);
  return 0;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href)
  process.exitCode = await packAll(resolve(process.argv[2] ?? join(root, 'out', 'packages')));
