// How PEFT's settings name modules of a model: ends of names, or Python's regular expressions.

/** Modules by the ends of their names, or by an expression that a whole name fits. */
export type ModuleNames = { readonly ends: readonly string[] } | { readonly whole: RegExp };

/** Every linear but the output projection. */
const allLinear = 'all-linear';

/** What Python reads otherwise than JavaScript, which would not complain: `\A`, `\Z`, `{,3}`. */
const pythonOnly = /\\[AZ]|\{,\d/;

function expression(source: string, whole: (source: string) => string, fail: (problem: string) => never): RegExp {
  if (!pythonOnly.test(source)) {
    try {
      return new RegExp(whole(source));
    } catch {
      // Told below.
    }
  }
  return fail(`has ${JSON.stringify(source)}, which cannot be read as a regular expression here.`);
}

/** A key of `rank_pattern` or `alpha_pattern`: an expression that a name fits from some part of it on. */
export function patternOf(key: string, fail: (problem: string) => never): RegExp {
  return expression(key, (source) => `^(?:.*\\.)?(?:${source})$`, fail);
}

/** The value of `target_modules` or `exclude_modules`. */
export function readModuleNames(value: unknown, fail: (problem: string) => never): ModuleNames {
  if (typeof value === 'string') {
    if (value.toLowerCase() === allLinear) return { whole: /^/ };
    return { whole: expression(value, (source) => `^(?:${source})$`, fail) };
  }
  if (Array.isArray(value) && value.every((name): name is string => typeof name === 'string')) return { ends: value };
  return fail(`is ${JSON.stringify(value)?.slice(0, 80)}, neither a text nor a list of texts.`);
}

/** Whether a module, by its full name in Python, is one of `names`. */
export function isNamed(names: ModuleNames, module: string): boolean {
  if ('whole' in names) return names.whole.test(module);
  return names.ends.some((end) => module === end || module.endsWith(`.${end}`));
}
