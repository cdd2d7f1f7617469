import { defineConfig, type Plugin } from 'vite';

/**
 * Scripts, styles and workers come from here alone. Connections go where the user sends them: which address that is cannot be
 * known beforehand.
 */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "worker-src 'self'",
  "img-src 'self' blob: data:",
  "connect-src 'self' https: http://localhost:*",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

/**
 * The built page carries its policy with it. A worker takes its policy from its own response, so servers should send the header
 * for every file: `_headers` says so to those that read it (Netlify, Cloudflare Pages). Vite's own development page needs a
 * looser policy.
 */
const policy: Plugin = {
  name: 'content-security-policy',
  apply: 'build',
  transformIndexHtml: () => [
    {
      tag: 'meta',
      attrs: { 'http-equiv': 'Content-Security-Policy', content: contentSecurityPolicy },
      injectTo: 'head-prepend',
    },
  ],
  generateBundle() {
    const source = `/*\n  Content-Security-Policy: ${contentSecurityPolicy}\n`;
    this.emitFile({ type: 'asset', fileName: '_headers', source });
  },
};

export default defineConfig({
  base: './',
  plugins: [policy],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  worker: { format: 'es' },
  preview: { headers: { 'Content-Security-Policy': contentSecurityPolicy } },
});
