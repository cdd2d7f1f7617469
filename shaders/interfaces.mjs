// What each program of this folder expects of its caller: the conditions it knows, the fields of its uniform struct, its storage
// bindings. build.mjs makes types and a small table of it, so that a slip in a name is an error. A scanner, not a parser: it throws
// at whatever it does not understand.

import { withoutComments } from './compact.mjs';

const isRoot = (text) => /@compute\b/.test(text);
const scalars = { u32: 'u', i32: 'i', f32: 'f' };

/**
 * @typedef {{ name: string, type: 'u' | 'i' | 'f', size: number, optional: boolean }} UniformField `size` in words
 * @typedef {{ name: string, access: string[], optional: boolean }} StorageBinding without a name: the one before it once more
 * @typedef {{ conditions: string[], constants: string[], structs: UniformField[][], bindings: StorageBinding[] }} ShaderInterface
 */

/**
 * The interface of every root module (one with an entry point), by path without the ending.
 * @param {Readonly<Record<string, string>>} sources texts by path below `shaders/`
 * @returns {Record<string, ShaderInterface>}
 */
export function shaderInterfaces(sources) {
  const modules = new Map();
  const load = (path) => {
    if (!modules.has(path)) modules.set(path, scanModule(path, withoutComments(sources[path]), sources));
    return modules.get(path);
  };
  const found = {};
  for (const path of Object.keys(sources).sort()) {
    if (isRoot(withoutComments(sources[path]))) found[path.replace(/\.wesl$/, '')] = interfaceOf(path, load);
  }
  return found;
}

function interfaceOf(path, load) {
  const reached = new Set([path]);
  for (const each of reached) for (const { module } of load(each).imports) reached.add(module);
  const of = (key) => [...new Set([...reached].flatMap((each) => [...load(each)[key]]))].sort();

  const declarations = reachable(path, load);
  const uniforms = declarations.filter((d) => d.space === 'uniform');
  if (uniforms.length !== 1) throw new Error(`${path}: ${uniforms.length} uniform structs reach it, not one`);
  return {
    conditions: of('conditions'),
    constants: of('constants'),
    structs: structsOf(uniforms[0], load),
    bindings: bindingsOf(path, declarations),
  };
}

/** The root's declarations, and those of other modules that they lead to. */
function reachable(path, load) {
  const found = new Map();
  const visit = (declaration) => {
    if (found.has(declaration)) return;
    found.set(declaration, true);
    const module = load(declaration.module);
    for (const name of declaration.names) {
      for (const own of module.declarations) if (own.name === name) visit(own);
      for (const wanted of module.imports) {
        if (wanted.name !== name) continue;
        for (const other of load(wanted.module).declarations) if (other.name === name) visit(other);
      }
    }
  };
  for (const declaration of load(path).declarations) visit(declaration);
  return [...found.keys()];
}

function structsOf(uniform, load) {
  const { module, type, place } = uniform;
  const structs = load(module).declarations.filter((d) => d.kind === 'struct' && d.name === type);
  if (structs.length === 0) throw new Error(`${place}: no struct ${type} in the same file`);
  return structs.map(({ text, place }) => {
    const body = text.slice(text.indexOf('{') + 1, text.lastIndexOf('}'));
    let offset = 0;
    return splitAtCommas(body).map((field) => {
      const { condition, rest } = leadingCondition(field.trim(), place);
      const [, name, scalar, vector, length] =
        /^(\w+)\s*:\s*(?:([uif]32)|array\s*<\s*vec4([uif])\s*,\s*(\d+)\s*>)$/.exec(rest) ?? [];
      const aligned = scalar !== undefined || (offset !== undefined && offset % 4 === 0);
      if (name === undefined || !aligned) throw new Error(`${place}: cannot read the field '${field.trim()}'`);
      const size = scalar === undefined ? 4 * Number(length) : 1;
      // What follows a field under a condition may lie in several places.
      offset = condition === undefined && offset !== undefined ? offset + size : undefined;
      return { name, type: scalars[scalar] ?? vector, size, optional: condition !== undefined };
    });
  });
}

/** Storage bindings by number: one order that holds whatever the conditions are. */
function bindingsOf(path, declarations) {
  const byName = new Map();
  for (const d of declarations) {
    if (d.space !== 'storage') continue;
    const { name } = d;
    if (!byName.has(name)) byName.set(name, { name, at: [], last: 0 });
    const entry = byName.get(name);
    entry.at.push({ binding: d.binding, condition: d.condition, access: d.access, own: d.module === path });
    entry.last = Math.max(entry.last, d.binding);
  }
  const order = [...byName.values()].sort((a, b) => a.last - b.last);
  order.forEach((a, i) => {
    for (const b of order.slice(i + 1))
      for (const one of a.at)
        for (const two of b.at)
          if (one.binding > two.binding && canHold([one.condition, two.condition]))
            throw new Error(`${path}: '${a.name}' and '${b.name}' have no order that holds under all conditions`);
  });
  const numbers = new Set(order.flatMap(({ at }) => at.map(({ binding }) => binding)));
  const found = [];
  for (const { name, at, last } of order) {
    // A number that nothing has under any condition: the binding before it is repeated there.
    for (let hole = last - 1; hole > 0 && !numbers.has(hole); hole--) {
      numbers.add(hole);
      found.push({ name: '', access: ['read'], optional: false });
    }
    found.push({
      name,
      access: [...new Set(at.map((each) => each.access))],
      optional: !at.every(({ own }) => own) || canHold(at.map(({ condition }) => `!(${condition ?? 'true'})`)),
    });
  }
  found.forEach(({ name }, i) => {
    const before = found[i - 1];
    if (name === '' && !(before && !before.optional && before.access.join() === 'read'))
      throw new Error(`${path}: nothing to bind before '${found[i + 1].name}'`);
  });
  return found;
}

/** Whether all of some conditions may be true together. */
function canHold(conditions) {
  const expressions = conditions.filter((c) => c !== undefined);
  const names = [...new Set(expressions.flatMap(namesIn))];
  const test = new Function(...names, `return ${expressions.map((c) => `(${c})`).join(' && ') || 'true'};`);
  for (let bits = 0; bits < 2 ** names.length; bits++)
    if (test(...names.map((_, i) => ((bits >> i) & 1) === 1))) return true;
  return false;
}

const namesIn = (condition) => (condition.match(/\w+/g) ?? []).filter((name) => name !== 'true' && name !== 'false');

function scanModule(path, text, sources) {
  const lineAt = (offset) => `shaders/${path}:${text.slice(0, offset).split('\n').length}`;
  const conditions = new Set();
  for (const { index } of text.matchAll(/@(if|elif)\b/g)) {
    const { condition } = leadingCondition(text.slice(index).replace(/^@elif/, '@if'), lineAt(index));
    for (const name of namesIn(condition)) conditions.add(name);
  }
  const imports = [];
  const constants = new Set();
  const declarations = [];
  for (const { start, source } of topLevel(text, lineAt)) {
    const place = lineAt(start);
    if (/(^|[\s)])import\s/.test(source)) readImport(source, place, sources, imports, constants);
    else if (!/^(enable|requires|diagnostic|const_assert)\b/.test(attributesOf(source, place).rest))
      declarations.push(readDeclaration(source, place, path));
  }
  for (const { 0: inline, index } of text.matchAll(/\b(?:package|super|constants)(?:::\w+)+/g)) {
    if (/\bimport\s+$/.test(text.slice(0, index))) continue;
    // A path without an import: what it names is used wherever it stands.
    const steps = inline.split('::');
    const name = steps.pop();
    if (steps[0] === 'constants') constants.add(name);
    else {
      imports.push({ name, module: moduleAt(steps, lineAt(index), sources) });
    }
  }
  return { conditions, constants, imports, declarations };
}

/** `{ start, source }` of every declaration and import of a module. */
function topLevel(text, lineAt) {
  const parts = [];
  let depth = 0;
  let start = -1;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (start < 0) {
      if (/\s|;/.test(c)) continue;
      start = i;
    }
    if ('({['.includes(c)) depth++;
    if (')}]'.includes(c)) depth--;
    if (depth < 0) throw new Error(`${lineAt(i)}: '${c}' closes nothing`);
    const ends = depth === 0 && (c === ';' || (c === '}' && !/(^|[\s)])import\s/.test(text.slice(start, i))));
    if (!ends) continue;
    parts.push({ start, source: text.slice(start, i + 1) });
    start = -1;
  }
  if (start >= 0) throw new Error(`${lineAt(start)}: what begins here has no end`);
  return parts;
}

/** The condition of a leading `@if(…)`, and what follows. */
function leadingCondition(text, place) {
  if (!text.startsWith('@if')) return { condition: undefined, rest: text };
  const open = /^@if\s*\(/.exec(text)?.[0].length;
  if (open === undefined) throw new Error(`${place}: '@if' without a condition`);
  let depth = 1;
  let end = open;
  for (; end < text.length && depth > 0; end++) depth += text[end] === '(' ? 1 : text[end] === ')' ? -1 : 0;
  const condition = text.slice(open, end - 1);
  if (depth > 0 || !/^[\w\s!&|()]+$/.test(condition))
    throw new Error(`${place}: cannot read the condition '${condition}'`);
  return { condition, rest: text.slice(end).trim() };
}

/** The attributes before a declaration: its condition, its binding, and what follows. */
function attributesOf(source, place) {
  let rest = source.trim();
  let condition;
  let binding;
  while (rest.startsWith('@')) {
    const numbered = /^@(group|binding)\s*\(\s*(\d+)\s*\)\s*/.exec(rest);
    const other = /^@(compute|workgroup_size\s*\([^)]*\)|diagnostic\s*\([^)]*\)|must_use)\s*/.exec(rest);
    if (rest.startsWith('@if')) {
      if (condition !== undefined) throw new Error(`${place}: two conditions of one declaration`);
      ({ condition, rest } = leadingCondition(rest, place));
    } else if (numbered) {
      if (numbered[1] === 'group' && numbered[2] !== '0') throw new Error(`${place}: only group 0 is bound`);
      if (numbered[1] === 'binding') binding = Number(numbered[2]);
      rest = rest.slice(numbered[0].length);
    } else if (other) rest = rest.slice(other[0].length);
    else throw new Error(`${place}: cannot read '${rest.slice(0, 40)}'`);
  }
  return { condition, binding, rest };
}

function readImport(source, place, sources, imports, constants) {
  const { rest } = attributesOf(source, place);
  const [, path, list, single] = /^import\s+(\w+(?:::\w+)*)::(?:\{([\w\s,]+)\}|(\w+))\s*;$/.exec(rest) ?? [];
  if (path === undefined) throw new Error(`${place}: cannot read '${rest}'`);
  const names = list
    ?.split(',')
    .map((name) => name.trim())
    .filter(Boolean) ?? [single];
  if (path === 'constants') return names.forEach((name) => constants.add(name));
  const module = moduleAt(path.split('::'), place, sources);
  for (const name of names) imports.push({ name, module });
}

function moduleAt(steps, place, sources) {
  const file = `${steps.slice(1).join('/')}.wesl`;
  if (steps[0] !== 'package' || sources[file] === undefined) throw new Error(`${place}: no module ${steps.join('::')}`);
  return file;
}

function readDeclaration(source, place, module) {
  const { condition, binding, rest } = attributesOf(source, place);
  const declared = { module, place, text: rest, condition, names: new Set(rest.match(/\b[A-Za-z_]\w*/g)) };
  const plain = /^(fn|struct|alias|const|override)\s+(\w+)/.exec(rest);
  if (plain && binding === undefined) return { ...declared, kind: plain[1], name: plain[2] };
  const [, space, mode, name, type] =
    /^var\s*<\s*(\w+)\s*(?:,\s*(\w+)\s*)?>\s*(\w+)\s*:\s*([\s\S]+);$/.exec(rest) ?? [];
  const bound = space === 'uniform' || space === 'storage';
  const fits =
    space === 'uniform'
      ? binding === 0 && condition === undefined
      : space === 'storage'
        ? binding > 0
        : binding === undefined;
  if (name === undefined || !(bound || space === 'workgroup' || space === 'private') || !fits)
    throw new Error(`${place}: cannot read '${rest.split('\n')[0]}'`);
  return { ...declared, kind: 'var', space, name, type: type.trim(), binding, access: mode ?? 'read' };
}

function splitAtCommas(body) {
  return body.split(/,(?![^<]*>)/).filter((field) => field.trim() !== '');
}

const isPadding = ({ name }) => /^pad\d*$/.test(name);

const typeOf = ({ type, size }) => (size === 1 ? `${type.toUpperCase()}32` : `readonly ${type.toUpperCase()}32[]`);

/** `ShaderInterfaces` in TypeScript. Padding is nobody's business: `pad`, `pad0`, … are left out. */
export function interfaceTypes(interfaces) {
  const union = (names) => names.map((name) => `'${name}'`).join(' | ') || 'never';
  const entries = Object.entries(interfaces).map(([shader, { conditions, constants, structs, bindings }]) => {
    const named = bindings.filter((b) => b.name !== '');
    const uniforms = structs.map(
      (fields) =>
        `{ ${fields
          .filter((f) => !isPadding(f))
          .map((f) => `readonly ${f.name}${f.optional ? '?' : ''}: ${typeOf(f)};`)
          .join(' ')} }`,
    );
    return [
      `  '${shader}': {`,
      `    conditions: ${union(conditions)};`,
      `    constants: ${union(constants)};`,
      `    uniforms: ${uniforms.join(' | ')};`,
      `    bindings: ${union(named.filter((b) => !b.optional).map((b) => b.name))};`,
      `    optionalBindings: ${union(named.filter((b) => b.optional).map((b) => b.name))};`,
      '  };',
    ].join('\n');
  });
  return `type U32 = number;
type I32 = number;
type F32 = number;

/**
 * What every program expects of its caller, by its path: the conditions and constants that it and the modules it imports know, the
 * fields of its uniform struct in order, and its storage bindings (optional ones exist under some conditions).
 */
export interface ShaderInterfaces {
${entries.join('\n')}
}
`;
}

/**
 * The same at run time, one text a program: fields of the uniform struct and their types (u where none is named, i, f; 8u: an array
 * of 8 words; `?` under a condition; padding has no name), a bar, the bindings in order (one without a name is the one before
 * it once more). Structs to choose from are parted by semicolons. `count,rate f,|param,grad`.
 */
export function layoutTable(interfaces) {
  return Object.fromEntries(
    Object.entries(interfaces).map(([shader, { structs, bindings }]) => {
      const field = (f) =>
        isPadding(f)
          ? ''
          : `${f.name} ${f.size === 1 ? '' : f.size}${f.type}${f.optional ? '?' : ''}`.replace(/ u$/, '');
      const fields = structs.map((struct) => struct.map(field).join(',')).join(';');
      return [shader, `${fields}|${bindings.map(({ name }) => name).join(',')}`];
    }),
  );
}

/** `layoutTable` as JavaScript; what several programs have alike, of structs or of bindings, stands there once. */
export function layoutCode(interfaces) {
  const layouts = Object.entries(layoutTable(interfaces)).map(([shader, layout]) => [shader, ...layout.split('|')]);
  const parts = layouts.flatMap(([, fields, bindings]) => [`${fields}|`, bindings]);
  const shared = [...new Set(parts)].filter(
    (part) => part.length > 9 && parts.indexOf(part) !== parts.lastIndexOf(part),
  );
  const code = (part) => (shared.includes(part) ? `part${shared.indexOf(part)}` : JSON.stringify(part));
  // A function that is called once: bundlers leave out what has no effects where nobody asks for it.
  return [
    'export const shaderLayouts = /* @__PURE__ */ (() => {\n',
    ...shared.map((part, i) => `const part${i} = ${JSON.stringify(part)};\n`),
    'return Object.freeze({\n',
    ...layouts.map(([shader, fields, bindings]) => {
      const both = [`${fields}|`, bindings];
      const text = both.some((part) => shared.includes(part))
        ? both.map(code).join(' + ')
        : JSON.stringify(both.join(''));
      return `  ${JSON.stringify(shader)}: ${text},\n`;
    }),
    '});\n})();\n',
  ].join('');
}
