import type { DataInspection, ShownPiece, ShownRow } from '../metrics/data-inspection.js';
import { dataFacts } from './data-facts.js';
import { html, Html } from './html.js';
import { style } from './style.js';

/** What a model will see of some data as one HTML page of its own: no request to anywhere, readable from a file, in light and dark. */
export function renderData(data: DataInspection): string {
  const title = `Rows of ${data.source}`;
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title><style>${new Html(style + dataStyle)}</style></head>
<body><main>
<header><h1>${title}</h1></header>
<section class="card"><table><tbody>${dataFacts(data).map(([name, value]) => html`<tr><th>${name}</th><td>${value}</td></tr>`)}</tbody></table></section>
${data.notices.length > 0 && html`<ul class="card notes">${data.notices.map((notice) => html`<li>${notice}</li>`)}</ul>`}
<h2>The first rows, token by token</h2>
<p class="quiet"><span class="row"><span class="learned">learned</span> <span class="given">given</span> <span class="cut">cut off</span></span></p>
<div class="samples">${data.rows.map(renderRow)}</div>
<footer>Made by lapidary data.</footer>
</main></body></html>
`;
  return page.markup;
}

function renderRow({ file, line, form, length, learned, patches, pictures, pieces }: ShownRow): Html {
  const places = patches > 0 && ` · ${patches} places of pictures (${pictures.join(', ')})`;
  return html`<section class="sample"><p>${file}:${line} <span class="quiet">{${form}} · ${length} tokens, ${learned} learned${places}</span></p>
<div class="row">${pieces.map(renderPiece)}</div></section>`;
}

const renderPiece = ({ tokens, text, learned, cut }: ShownPiece): Html =>
  html`<span class="${cut ? 'cut' : learned ? 'learned' : 'given'}" title="${tokens.join(', ')}">${text.replaceAll('\n', '⏎\n')}</span>`;

const dataStyle = `
.notes { margin-top: 14px; }
.row { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.9; }
.sample .row { padding: 10px 16px 14px; }
.row > span { border-radius: 4px; padding: 1px 0; box-shadow: inset 1px 0 var(--edge); }
.row .learned { background: color-mix(in srgb, var(--good) 22%, transparent); }
.row .given { color: var(--quiet); }
.row .cut { color: var(--bad); text-decoration: line-through; }
`;
