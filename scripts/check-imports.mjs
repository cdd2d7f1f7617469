// Checks how files import each other: packages only from left to right, no cycles, Node built-ins only where Node is
// promised, and the diagram in ARCHITECTURE.md as the imports really are.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative, resolve, sep } from 'node:path';
import ts from 'typescript';
import { root } from './run.mjs';

const layers = ['shaders', 'gpu', 'kernels', 'tensor', 'gemma', 'weights', 'trainer', 'lapidary'];
// The CLI is a Node program.
const nodeOnlyPackages = ['lapidary'];
const nodeOnlyFile = /(^|\/)(node|cli)\/|(^|[-./])node\.ts$|\.(node|e2e|bench)(\.test)?\.ts$/;
const forTests = /\/testing\//;
const nodeOnlyModule = (specifier) =>
  specifier.startsWith('node:') ||
  builtinModules.includes(specifier.split('/')[0]) ||
  /^(webgpu|sharp)$|[/-]node$/.test(specifier);

const problems = [];
const folderOf = (name) => (name === 'shaders' ? 'shaders' : join('packages', name));
const manifestOf = (name) => JSON.parse(readFileSync(join(root, folderOf(name), 'package.json'), 'utf8'));
const nameOfPackage = new Map(layers.map((name) => [manifestOf(name).name, name]));
const posix = (path) => path.split(sep).join('/');

function sourceFiles(name) {
  const folder = join(root, folderOf(name), 'src');
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true })
    .filter((file) => /\.[cm]?ts$/.test(file) && !file.endsWith('.d.ts'))
    .map((file) => join(folder, file));
}

/** The tests of several packages together, and what helps them; what they load in Node alone they import dynamically. */
function checkSharedTests() {
  for (const file of readdirSync(join(root, 'test'), { recursive: true }).filter((name) => name.endsWith('.ts'))) {
    const path = `test/${posix(file)}`;
    if (/^test\/(fixtures|setup)\//.test(path) || nodeOnlyFile.test(path)) continue;
    for (const { specifier, line, typeOnly, dynamic } of importsOf(join(root, path)))
      if (!typeOnly && !dynamic && nodeOnlyModule(specifier.replace(/\.js$/, '')))
        problems.push(`${path}:${line}: '${specifier}' exists only in Node; name the test …node.test.ts`);
  }
}

/** What a file imports: `{ specifier, line, typeOnly }`, dynamic imports included. */
function importsOf(file) {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, false);
  const found = [];
  const add = (node, at, typeOnly, dynamic = false) =>
    found.push({ specifier: node.text, line: source.getLineAndCharacterOfPosition(at).line + 1, typeOnly, dynamic });
  const visit = (node) => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier !== undefined) {
      const clause = ts.isImportDeclaration(node) ? node.importClause : node;
      const bindings = ts.isImportDeclaration(node) ? node.importClause?.namedBindings : node.exportClause;
      const allTypes =
        bindings !== undefined &&
        (ts.isNamedImports(bindings) || ts.isNamedExports(bindings)) &&
        !(ts.isImportDeclaration(node) && node.importClause?.name) &&
        bindings.elements.length > 0 &&
        bindings.elements.every((element) => element.isTypeOnly);
      add(node.moduleSpecifier, node.pos, clause?.isTypeOnly === true || allTypes);
    } else if (
      ts.isCallExpression(node) &&
      node.expression.kind === ts.SyntaxKind.ImportKeyword &&
      ts.isStringLiteral(node.arguments[0])
    ) {
      add(node.arguments[0], node.pos, false, true);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** Edges of run-time imports between files, for cycles; and between packages, for the layers. */
const fileEdges = new Map();
const packageEdges = new Map(layers.map((name) => [name, new Set()]));
const testEdges = new Map(layers.map((name) => [name, new Set()]));

for (const name of layers) {
  for (const file of sourceFiles(name)) {
    const path = posix(relative(root, file));
    const isTest = /\.(test|bench)\.ts$/.test(path) || forTests.test(path);
    // Tests run in a browser as well, see vitest.config.ts: those of a Node program too.
    const mayUseNode = nodeOnlyFile.test(path) || (nodeOnlyPackages.includes(name) && !isTest);
    for (const { specifier, line, typeOnly, dynamic } of importsOf(file)) {
      const where = `${path}:${line}`;
      if (specifier.startsWith('.')) {
        if (!/\.(js|json|mjs)$/.test(specifier)) problems.push(`${where}: '${specifier}' must end in .js`);
        const target = resolve(dirname(file), specifier).replace(/\.js$/, '.ts');
        if (!posix(relative(join(root, folderOf(name)), target)).startsWith('..')) {
          if (!typeOnly && !dynamic) fileEdges.set(file, [...(fileEdges.get(file) ?? []), target]);
          if (!typeOnly && !mayUseNode && nodeOnlyFile.test(posix(relative(root, target)))) {
            problems.push(
              `${where}: imports ${specifier}, which is for Node only; ${isTest ? 'name the test …node.test.ts' : 'reach it through an "imports" condition or an own entry'}`,
            );
          }
          if (!typeOnly && !isTest && forTests.test(posix(relative(root, target))))
            problems.push(`${where}: imports ${specifier}, which is for tests only`);
        } else if (!isTest) problems.push(`${where}: '${specifier}' leaves the package; import it by name`);
        continue;
      }
      if (!mayUseNode && !typeOnly && nodeOnlyModule(specifier)) {
        problems.push(
          `${where}: '${specifier}' exists only in Node; name the file …-node.ts (tests …node.test.ts) and give it an own entry`,
        );
      }
      const target = nameOfPackage.get(
        specifier.startsWith('@') ? specifier.split('/').slice(0, 2).join('/') : specifier.split('/')[0],
      );
      if (target === undefined || target === name) continue;
      if (layers.indexOf(target) > layers.indexOf(name)) {
        problems.push(`${where}: ${name} may not import ${target}; imports go ${layers.join(' → ')}`);
      }
      (isTest ? testEdges : packageEdges).get(name).add(target);
    }
  }
}

checkSharedTests();

// Cycles, each named once: a depth-first walk that reports a file met again on its own path.
const done = new Set();
function walk(file, path) {
  if (done.has(file)) return;
  const start = path.indexOf(file);
  if (start >= 0) {
    problems.push(`circular import: ${[...path.slice(start), file].map((f) => posix(relative(root, f))).join(' → ')}`);
    return;
  }
  for (const next of fileEdges.get(file) ?? []) walk(next, [...path, file]);
  done.add(file);
}
for (const file of fileEdges.keys()) walk(file, []);

// package.json lists what is imported, no more and no less.
for (const name of layers) {
  const { dependencies = {}, devDependencies = {} } = manifestOf(name);
  const listed = new Set(
    Object.keys(dependencies)
      .map((dependency) => nameOfPackage.get(dependency))
      .filter(Boolean),
  );
  const listedForTests = new Set([
    ...listed,
    ...Object.keys(devDependencies).map((dependency) => nameOfPackage.get(dependency)),
  ]);
  const manifest = posix(join(folderOf(name), 'package.json'));
  for (const used of packageEdges.get(name))
    if (!listed.has(used)) problems.push(`${manifest}: lacks ${used} in dependencies`);
  for (const used of testEdges.get(name))
    if (!listedForTests.has(used)) problems.push(`${manifest}: lacks ${used} in devDependencies (its tests use it)`);
  for (const unused of listed)
    if (!packageEdges.get(name).has(unused))
      problems.push(`${manifest}: depends on ${unused}, which nothing in src imports`);
}

// The diagram: every arrow is an import, and every import is an arrow or follows from arrows.
const diagram = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8').match(/```mermaid\n([\s\S]*?)```/)?.[1] ?? '';
const arrows = [...diagram.matchAll(/^\s*(\w+)(?:\[[^\]]*\])?\s*-->\s*(\w+)/gm)].map(([, from, to]) => ({ from, to }));
const reaches = (from, to) => arrows.some((arrow) => arrow.from === from && (arrow.to === to || reaches(arrow.to, to)));
if (arrows.length === 0) problems.push('ARCHITECTURE.md: no mermaid diagram with arrows found');
for (const { from, to } of arrows) {
  if (!packageEdges.get(to)?.has(from))
    problems.push(`ARCHITECTURE.md: the diagram has ${from} --> ${to}, but ${to} does not import ${from}`);
}
for (const [name, targets] of packageEdges) {
  for (const target of targets)
    if (!reaches(target, name))
      problems.push(`ARCHITECTURE.md: ${name} imports ${target}, which the diagram does not show`);
}

for (const problem of problems) console.error(problem);
console.log(
  problems.length === 0
    ? `Imports are in order: ${[...fileEdges.keys()].length} files.`
    : `${problems.length} problems with imports.`,
);
process.exitCode = problems.length === 0 ? 0 : 1;
