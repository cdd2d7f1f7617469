/** What a linked WGSL text expects at group 0. */
export interface ShaderBindings {
  /** Storage bindings, 1, 2, … */
  readonly storage: number;
  /** 32-bit words of the uniform struct at binding 0; undefined where a field is of a type that is not reckoned with. */
  readonly uniformWords: number | undefined;
}

/** Reads what a linked text expects: conditions are decided there, so it is exact. */
export function bindingsOf(code: string): ShaderBindings {
  const numbers = [...code.matchAll(/@binding\s*\(\s*(\d+)\s*\)\s*var\s*<\s*storage/g)].map(([, n]) => Number(n));
  return { storage: Math.max(0, ...numbers), uniformWords: uniformWords(code) };
}

function uniformWords(code: string): number | undefined {
  const type = /var\s*<\s*uniform\s*>\s*\w+\s*:\s*(\w+)/.exec(code)?.[1];
  const body = type && new RegExp(`\\bstruct\\s+${type}\\s*\\{([^}]*)\\}`).exec(code)?.[1];
  if (!body) return undefined;
  let words = 0;
  for (const field of body.split(/,(?![^<]*>)/)) {
    if (field.trim() === '') continue;
    const [, scalar, length] = /:\s*(?:([uif]32)|array\s*<\s*vec4[uif]\s*,\s*(\d+)\s*>)\s*$/.exec(field) ?? [];
    if (scalar !== undefined) words++;
    else if (length !== undefined) words = Math.ceil(words / 4) * 4 + 4 * Number(length);
    else return undefined;
  }
  return words;
}
