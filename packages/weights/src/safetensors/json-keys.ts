/** The first key that an object in a valid JSON text has twice; `JSON.parse` would keep the last one silently. */
export function duplicateKey(json: string): string | undefined {
  const objects: (Set<string> | undefined)[] = [];
  const tokens = /"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/g;
  for (let match = tokens.exec(json); match !== null; match = tokens.exec(json)) {
    const [token, colon] = match;
    if (token === '{') objects.push(new Set());
    else if (token === '[') objects.push(undefined);
    else if (token === '}' || token === ']') objects.pop();
    else if (colon !== undefined) {
      const key = JSON.parse(token.slice(0, token.length - colon.length)) as string;
      const keys = objects.at(-1);
      if (keys?.has(key)) return key;
      keys?.add(key);
    }
  }
  return undefined;
}

/** A string in a valid JSON text with half a surrogate pair, which is no Unicode: other readers refuse it. */
export function loneSurrogate(json: string): string | undefined {
  // Where text is UTF-8, only escapes can say such a thing.
  if (!/\\u[dD]/.test(json)) return undefined;
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"/g))
    if (/\\u[dD]/.test(token) && /\p{Cs}/u.test(JSON.parse(token) as string)) return token;
  return undefined;
}

/** A number in a valid JSON text that is not written as digits alone: `1.0`, `1e3` and `-0` are none of a size or position. */
export function otherNumber(json: string): string | undefined {
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g))
    if (!token.startsWith('"') && !/^\d+$/.test(token)) return token;
  return undefined;
}
