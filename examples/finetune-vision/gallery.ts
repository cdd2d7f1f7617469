// A page of held-out pictures with what two models say about them; boxes are drawn. It needs no other file.
import { boxesToSvg, parseBoxes } from '@lapidary/gemma';

export interface Prediction {
  readonly image: string;
  readonly prompt: string;
  readonly expected: string;
  readonly base: string;
  readonly tuned: string;
}

const side = 168;

const escapeHtml = (text: string) =>
  text.replace(/[&<>"]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[sign]!);

/** `<loc…>` tokens say little to a person: the boxes are drawn instead. */
function told(answer: string): string {
  const short = answer.replace(/(<loc\d{4}>)+/g, '▢').trim();
  return short === '' ? '(nothing)' : short;
}

function answerOf(title: string, answer: string, { png, expected }: { png: string; expected: string }): string {
  const { boxes } = parseBoxes(answer);
  const right = answer === expected;
  const overlay = boxes.length > 0 ? boxesToSvg(boxes, { width: side, height: side }) : '';
  return `<figure><div class="picture"><img src="${png}" alt="">${overlay}</div>
<figcaption><b>${title}</b> <span class="${right ? 'right' : 'wrong'}">${right ? '✓' : '✗'} ${escapeHtml(told(answer))}</span></figcaption></figure>`;
}

export interface Gallery {
  readonly predictions: readonly Prediction[];
  /** PNGs by name. */
  readonly pictures: ReadonlyMap<string, Uint8Array>;
  /** Shares of right answers, 0 … 1. */
  readonly accuracy: { readonly base: number; readonly tuned: number };
}

/** The page; every kind of question gets its share of it. */
export function renderGallery({ predictions, pictures, accuracy }: Gallery, most = 60): string {
  const kindOf = ({ prompt }: Prediction) => prompt.split(' ')[0]!;
  const kinds = [...new Set(predictions.map(kindOf))];
  const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
  const sections = kinds.map((kind) => {
    const rows = predictions.filter((p) => kindOf(p) === kind);
    const cards = rows.slice(0, Math.ceil(most / kinds.length)).map((p) => {
      const png = `data:image/png;base64,${Buffer.from(pictures.get(p.image)!).toString('base64')}`;
      const shown = { png, expected: p.expected };
      return `<article><h3>${escapeHtml(p.prompt)}</h3><p>right: ${escapeHtml(told(p.expected))}</p>
<div class="pair">${answerOf('before', p.base, shown)}${answerOf('after', p.tuned, shown)}</div></article>`;
    });
    const right = (key: 'base' | 'tuned') => percent(rows.filter((p) => p[key] === p.expected).length / rows.length);
    return `<h2>${escapeHtml(kind)}: ${right('base')} → ${right('tuned')} right of ${rows.length}</h2><div class="cards">${cards.join('\n')}</div>`;
  });
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Held-out pictures</title>
<meta name="viewport" content="width=device-width">
<style>
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif }
body { max-width: 1200px; margin: 2rem auto; padding: 0 1rem }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(370px, 1fr)); gap: 1rem }
article { border: 1px solid #8886; border-radius: 8px; padding: .7rem 1rem }
h3, p { margin: 0 } p { opacity: .75 } .pair { display: flex; gap: 1rem; margin-top: .5rem }
figure { margin: 0; width: ${side}px } .picture { position: relative; width: ${side}px; height: ${side}px }
img { width: 100%; height: 100%; image-rendering: pixelated; border-radius: 4px } svg { position: absolute; inset: 0 }
figcaption { overflow-wrap: anywhere } .right { color: #1a8f3c } .wrong { color: #c8342b }
</style>
<h1>Held-out pictures, before and after</h1>
<p>Answers right to the letter: ${percent(accuracy.base)} → ${percent(accuracy.tuned)} of ${predictions.length}.</p>
${sections.join('\n')}
</html>
`;
}
