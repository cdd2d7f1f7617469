/** Plain nested objects and arrays of `T`: how parameters, gradients and batches are passed around. */
export type Tree<T> = T | readonly Tree<T>[] | { readonly [key: string]: Tree<T> };

type Leaf = (value: unknown) => boolean;

function isBranch(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value) as unknown;
  return Array.isArray(value) || prototype === Object.prototype || prototype === null;
}

const notBranch: Leaf = (value) => !isBranch(value);

/** Every leaf with its path (`layers.0.attn.qProj.weight`), in insertion order. Undefined leaves are left out. */
export function treeEntries<T>(tree: Tree<T>, prefix = ''): [string, T][] {
  if (notBranch(tree)) return tree === undefined ? [] : [[prefix, tree as T]];
  return Object.entries(tree as object).flatMap(([key, child]) =>
    treeEntries(child as Tree<T>, prefix === '' ? key : `${prefix}.${key}`),
  );
}

/** Builds a tree from paths; a level whose keys are 0, 1, 2, … becomes an array. */
export function treeFromEntries<T>(entries: Iterable<readonly [string, T]>): Tree<T> {
  const root: Record<string, unknown> = {};
  for (const [path, leaf] of entries) {
    const keys = path.split('.');
    let level = root;
    for (const key of keys.slice(0, -1)) level = (level[key] ??= {}) as Record<string, unknown>;
    level[keys.at(-1)!] = leaf;
  }
  const settle = (value: unknown): unknown => {
    if (notBranch(value)) return value;
    const keys = Object.keys(value as object);
    const settled = keys.map((key) => settle((value as Record<string, unknown>)[key]));
    if (keys.length > 0 && keys.every((key, i) => key === String(i))) return settled;
    return Object.fromEntries(keys.map((key, i) => [key, settled[i]]));
  };
  return settle(root) as Tree<T>;
}
