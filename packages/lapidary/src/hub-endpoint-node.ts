import { UsageError } from './usage-error.js';

/** Which hub is pushed to, as Hugging Face's own tools are told: `HF_ENDPOINT`, or https://huggingface.co. @throws UsageError */
export function hubEndpoint(env: NodeJS.ProcessEnv = process.env): string {
  const given = env['HF_ENDPOINT']?.trim().replace(/\/+$/, '');
  if (!given) return 'https://huggingface.co';
  const url = URL.canParse(given) ? new URL(given) : undefined;
  const isPlain = url?.username === '' && url.password === '' && url.search === '' && url.hash === '';
  if (isPlain && /^https?:$/.test(url.protocol)) return given;
  throw new UsageError({
    message: 'HF_ENDPOINT is no address of a hub.',
    hint: 'It names one such as https://huggingface.co, without user, password or query.',
  });
}
