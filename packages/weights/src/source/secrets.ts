/**
 * A text that may be shown and kept: of URLs in it user, password and query are left out (a query may be a signature, and is not what
 * names a file), and access tokens by their form.
 * What follows a URL without a space is taken for its end: leave out secrets before more is said. Twice is harmless.
 */
export function withoutSecrets(text: string): string {
  return text
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/?#"'<>]*@/gi, '$1')
    .replace(/\b(https?:\/\/[^\s?#"'<>]*)[?#](?!…)[^\s"'<>]*/gi, '$1?…')
    .replace(/\bhf_[A-Za-z0-9]{8,}/g, 'hf_…')
    .replace(/\b(Bearer|Basic)\s+[\w.~+/=-]{8,}/gi, '$1 …');
}
