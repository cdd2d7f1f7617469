import type { EvaluatedVariant, Evaluation, Share } from '../metrics/evaluation.js';
import { html, Html } from './html.js';
import { formatPercent } from './profile-table.js';
import { style } from './style.js';

/** Rows that a page shows of each kind. */
const mostRows = 200;

/** The measures as a table: a row each, the variants side by side. Those of which there are no rows are left out. */
export function evaluationTable({ variants }: Pick<Evaluation, 'variants'>): string[][] {
  const row = (label: string, cell: (variant: EvaluatedVariant) => string | undefined) => {
    const cells = variants.map((variant) => cell(variant));
    return cells.every((each) => each === undefined) ? [] : [[label, ...cells.map((each) => each ?? '–')]];
  };
  const share = (part: Share | null) =>
    part && `${formatPercent(part.right / part.rows)} (${part.right} of ${part.rows})`;
  return [
    ['', ...variants.map(({ name }) => name)],
    ...row('Perplexity', ({ perplexity }) => perplexity?.value.toFixed(4)),
    ...row('Loss, nats a token', ({ perplexity }) => perplexity?.loss.toFixed(4)),
    ...row('Exact match', ({ exactMatch }) => share(exactMatch) ?? undefined),
    ...row('Same calls', ({ callMatch }) => share(callMatch) ?? undefined),
    ...row('Choices', ({ choiceAccuracy }) => share(choiceAccuracy) ?? undefined),
    ...row('Choices, by length', (variant) => share(variant.choiceAccuracyByLength) ?? undefined),
    ...row('Seconds', ({ seconds }) => seconds.toFixed(1)),
  ];
}

/** An evaluation as one HTML page of its own: no request to anywhere, readable from a file, in light and dark. */
export function renderEvaluation(evaluation: Evaluation): string {
  const { model, data, variants, answers, choices, notices } = evaluation;
  const [head, ...rows] = evaluationTable(evaluation) as [string[], ...string[][]];
  const title = `Evaluation of ${model}`;
  const cells = (row: readonly string[]) =>
    row.map((cell, i) => html`<td class="${i > 0 ? 'number' : ''}">${cell}</td>`);
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title><style>${new Html(style + evaluationStyle)}</style></head>
<body><main>
<header><h1>${title}</h1><p class="facts">${data} · ${variants[0]?.perplexity ? `${variants[0].perplexity.tokens} tokens in ${variants[0].perplexity.rows} rows` : `${choices.length} questions`}</p></header>
<section class="card wide"><table><thead><tr>${head.map((name, i) => html`<th class="${i > 0 ? 'number' : ''}">${name}</th>`)}</tr></thead>
<tbody>${rows.map((row) => html`<tr>${cells(row)}</tr>`)}</tbody></table></section>
${
  answers.length > 0 &&
  html`<h2>Answers</h2>
<div class="samples">${answers.slice(0, mostRows).map(
    ({
      line,
      prompt,
      expected,
      answers: found,
    }) => html`<article class="sample"><p class="text">${prompt}</p><div class="pair">
<div><h4>line ${line}, expected</h4><div class="text">${expected}</div></div>${found.map(({ text, matches, sameCalls = matches }, i) => html`<div><h4 class="${sameCalls ? 'right' : ''}">${variants[i]!.name}${sameCalls ? ', the same' : ''}</h4><div class="text">${text}</div></div>`)}
</div></article>`,
  )}</div>${more(answers.length)}`
}
${
  choices.length > 0 &&
  html`<h2>Choices</h2>
<div class="samples">${choices.slice(0, mostRows).map(
    ({
      line,
      prompt,
      choices: texts,
      answer,
      scores,
    }) => html`<article class="sample"><p class="text">${prompt}</p><div class="pair">
<div><h4>line ${line}, right</h4><div class="text">${texts[answer]}</div></div>${scores.map(({ chosen }, i) => html`<div><h4 class="${chosen === answer ? 'right' : ''}">${variants[i]!.name}${chosen === answer ? ', right' : ''}</h4><div class="text">${texts[chosen]}</div></div>`)}
</div></article>`,
  )}</div>${more(choices.length)}`
}
<h2>What was measured</h2>
<ul class="card notes">${[...notices, ...measures].map((note) => html`<li>${note}</li>`)}</ul>
<footer>Made by lapidary eval.</footer>
</main></body></html>
`;
  return page.markup;
}

const more = (count: number) =>
  count > mostRows && html`<p class="quiet">${count - mostRows} more are in the JSON.</p>`;

const measures = [
  'Perplexity: e to the power of the mean cross-entropy of the tokens that rows teach: completions with their ends, the model’s turns, texts.',
  'Exact match: the likeliest answer to a prompt, token by token, is the completion; blanks around both do not count.',
  'Same calls: the likeliest answer calls the functions that the row calls, in the same order, with the same arguments, whatever the order of their keys.',
  'Choices: the right choice is the one with the largest probability as an answer to the prompt; by length: with the largest log-probability a byte.',
];

const evaluationStyle = `
.wide { overflow-x: auto; }
td, th { padding-right: 16px; } .number { padding-right: 0; padding-left: 16px; }
.pair h4.right { color: var(--good); }
`;
