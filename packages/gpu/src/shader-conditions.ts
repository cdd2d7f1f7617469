import { distance } from 'fastest-levenshtein';

type Modules = Readonly<Record<string, string>>;

const known = new WeakMap<Modules, Map<string, readonly string[]>>();

/** Every condition that a root module, or a module it imports, mentions. `source` replaces the root's text. */
export function conditionsOf(root: string, modules: Modules, source?: string): readonly string[] {
  if (source !== undefined) return collect(root, { ...modules, [root]: source });
  let roots = known.get(modules);
  if (roots === undefined) known.set(modules, (roots = new Map()));
  let conditions = roots.get(root);
  if (conditions === undefined) roots.set(root, (conditions = collect(root, modules)));
  return conditions;
}

function collect(root: string, modules: Modules): readonly string[] {
  const reached = new Set([root]);
  const names = new Set<string>();
  // A set that grows while it is walked: every module once.
  for (const path of reached) {
    const text = modules[path]!.replace(/\/\/.*/g, '');
    for (const [, condition] of text.matchAll(/@(?:if|elif)\s*\(((?:[\s\w!&|]|\([^()]*\))*)\)/g))
      for (const [name] of condition!.matchAll(/\w+/g)) names.add(name);
    for (const [, path] of text.matchAll(/\bpackage::(\w+(?:::\w+)*)/g)) {
      const steps = path!.split('::');
      // What a path ends with may be a name in the module.
      for (let n = steps.length; n > 0; n--) {
        const module = `${steps.slice(0, n).join('/')}.wesl`;
        if (modules[module] !== undefined) reached.add(module);
      }
    }
  }
  return [...names].sort();
}

/** Of some names the one that is spelt most like `name`. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  const others = names.map((other) => ({ other, away: distance(name, other) }));
  return others.sort((a, b) => a.away - b.away)[0]?.other;
}
