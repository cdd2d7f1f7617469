/**
 * What a `data:` address holds, as a file of this name; undefined where it is not base64. The page's policy lets nobody fetch one.
 */
export function fileOfDataUrl(url: string, name: string): File | undefined {
  const head = /^data:([\w.+/-]*)(?:;[\w.-]+=[\w.-]+)*;base64,/.exec(url);
  if (head === null) return undefined;
  try {
    const bytes = Uint8Array.from(atob(url.slice(head[0].length)), (sign) => sign.charCodeAt(0));
    return new File([bytes], name, { type: head[1]! });
  } catch {
    // Not all of it is base64.
    return undefined;
  }
}
