/**
 * A text that may be shown and kept: of URLs in it user, password and query are left out (a query may be a signature, and is not what
 * names a file), and access tokens by their form.
 * What follows a URL without a space is taken for its end: leave out secrets before more is said. Twice is harmless.
 */
export function withoutSecrets(text: string): string {
  return text
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/?#"'<>]*@/gi, '$1')
    .replace(/\b(https?:\/\/[^\s?#"'<>]*)[?#](?!…)[^\s"'<>]*/gi, '$1?…')
    .replace(/\b(hf_|api_org_)(?:jwt_[\w.-]+|[A-Za-z0-9]{8,})/g, '$1…')
    .replace(/\b(Bearer|Basic)\s+[\w.~+/=-]{8,}/gi, '$1 …');
}

/**
 * What went wrong, to be told as another error's cause: its name, message and stack without secrets. What else it carries (the address it
 * was about, say) is left out.
 */
export function causeWithoutSecrets(error: unknown): Error {
  const { name = 'Error', message = String(error), stack, cause } = (error ?? {}) as Partial<Error>;
  const plain = new Error(withoutSecrets(message), cause === undefined ? {} : { cause: causeWithoutSecrets(cause) });
  plain.name = name;
  if (stack !== undefined) plain.stack = withoutSecrets(stack);
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return typeof code === 'string' ? Object.assign(plain, { code }) : plain;
}
