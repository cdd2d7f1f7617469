import { formatBytes } from '@lapidary/trainer';
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';

/** A model of a size that is used, from a repository that asks for no account. */
const hub = 'https://huggingface.co';
const repository = 'ggml-org/gemma-3-270m-it-GGUF';
const file = 'gemma-3-270m-it-Q8_0.gguf';
/** ms. Where the hub cannot be reached nobody waits for it. */
const longestAsking = 5000;

/** Its size in bytes as the hub says; undefined where the hub cannot be reached, has it no longer, or gives it to some only. */
async function askForSize(signal: AbortSignal): Promise<number | undefined> {
  try {
    const response = await fetch(`${hub}/api/models/${repository}/revision/main?blobs=true`, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(longestAsking)]),
      credentials: 'omit',
      referrerPolicy: 'no-referrer',
    });
    if (!response.ok) return undefined;
    const { gated, siblings } = ((await response.json()) ?? {}) as { gated?: unknown; siblings?: unknown };
    if ((gated ?? false) !== false || !Array.isArray(siblings)) return undefined;
    const sizes = siblings.map((sibling: unknown) => {
      const { rfilename, size } = (sibling ?? {}) as { rfilename?: unknown; size?: unknown };
      return rfilename === file && Number.isSafeInteger(size) && Number(size) > 0 ? Number(size) : undefined;
    });
    return sizes.find((size) => size !== undefined);
  } catch {
    return undefined;
  }
}

/** One click to it; nothing where it cannot be had. */
export function RealModel({ onChoose }: { onChoose: (address: string) => void }) {
  const bytes = useSignal<number | undefined>(undefined);
  useEffect(() => {
    const stop = new AbortController();
    void askForSize(stop.signal).then((size) => (bytes.value = size));
    return () => stop.abort();
  }, []);
  if (bytes.value === undefined) return null;
  return (
    <div class="row" data-testid="real-model">
      <button type="button" onClick={() => onChoose(`${repository}/${file}`)}>
        Gemma 3 270M
      </button>
      <p class="quiet grow offer">
        The smallest Gemma that Google made, made for chat: {formatBytes(bytes.value)} to download when training starts,
        once. Google’s terms of use for Gemma hold for it.
      </p>
    </div>
  );
}
