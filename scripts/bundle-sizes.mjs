// What a page downloads for each package: measured here, told in the README, compared by check-pack.mjs.
import { relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const start = '<!-- sizes -->';
const end = '<!-- /sizes -->';
/** Sources change a little all the time; the table follows when it would mislead. */
const tolerance = 0.03;

/**
 * Bytes of what a page loads at its start that takes all of a package's main entry, minified: of the package's own files, of
 * everything, and of everything compressed, each file alone. What is imported only when it is needed (`import()`) does not count.
 * @returns {Promise<{ name: string, own: number, minified: number, gzip: number }[]>}
 */
export async function measureSizes(project, names) {
  const rows = [];
  for (const name of names) {
    const { outputFiles, metafile } = await build({
      stdin: { contents: `export * from '${name}';`, resolveDir: project },
      absWorkingDir: project,
      outdir: 'bundle',
      bundle: true,
      splitting: true,
      format: 'esm',
      minify: true,
      write: false,
      metafile: true,
      logLevel: 'silent',
    });
    const atStart = loadedAtStart(metafile.outputs);
    const own = atStart
      .flatMap((file) => Object.entries(metafile.outputs[file].inputs))
      .filter(([file]) => file.startsWith(`node_modules/${name}/`))
      .reduce((sum, [, { bytesInOutput }]) => sum + bytesInOutput, 0);
    const contents = outputFiles
      .filter(({ path }) => atStart.includes(relative(project, path).replaceAll('\\', '/')))
      .map((file) => file.contents);
    const total = (bytesOf) => contents.reduce((sum, each) => sum + bytesOf(each), 0);
    const gzip = total((each) => gzipSync(each, { level: 9 }).length);
    rows.push({ name, own, minified: total((each) => each.length), gzip });
  }
  return rows.sort((a, b) => a.gzip - b.gzip);
}

/** The bundle's entry, and the files that it imports before it runs. */
function loadedAtStart(outputs) {
  const found = new Set(Object.keys(outputs).filter((file) => outputs[file].entryPoint === '<stdin>'));
  for (const file of found) {
    for (const { path, kind } of outputs[file].imports) if (kind === 'import-statement') found.add(path);
  }
  return [...found];
}

const inKb = (bytes) => (bytes / 1000).toFixed(1);

export function sizeTable(rows) {
  return [
    '| package | own code, kB | with all it imports, kB | gzip, kB |',
    '|---|---:|---:|---:|',
    ...rows.map(
      ({ name, own, minified, gzip }) => `| \`${name}\` | ${inKb(own)} | ${inKb(minified)} | ${inKb(gzip)} |`,
    ),
  ].join('\n');
}

function split(readme) {
  const [from, to] = [readme.indexOf(start), readme.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`README.md has no lines ${start} and ${end} for the table of sizes.`);
  return [readme.slice(0, from + start.length), readme.slice(from + start.length, to), readme.slice(to)];
}

/** The README with this table in its place. */
export function withSizes(readme, rows) {
  const [before, , after] = split(readme);
  return `${before}\n\n${sizeTable(rows)}\n\n${after}`;
}

/** Where the README's table says something else. */
export function wrongSizes(readme, rows) {
  const told = new Map();
  for (const line of split(readme)[1].split('\n')) {
    const [, name, ...cells] = line.split('|').map((cell) => cell.trim());
    if (name?.startsWith('`')) told.set(name.replaceAll('`', ''), cells.slice(0, 3).map(Number));
  }
  const wrong = [...told.keys()]
    .filter((name) => rows.every((row) => row.name !== name))
    .map((name) => `${name} is no package`);
  for (const { name, own, minified, gzip } of rows) {
    const cells = told.get(name);
    if (cells === undefined) wrong.push(`${name} is missing`);
    else {
      for (const [i, bytes] of [own, minified, gzip].entries()) {
        const actual = Number(inKb(bytes));
        // Written so that a cell that is no number is wrong too.
        if (!(Math.abs(cells[i] - actual) <= actual * tolerance))
          wrong.push(`${name}: ${cells[i]} kB for ${actual} kB`);
      }
    }
  }
  return wrong;
}
