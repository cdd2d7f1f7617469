import type { ComponentChildren } from 'preact';
import type { Problem } from '../session/problem.js';
import { inLabels, titleOf } from './labels.js';

/** What went wrong, why, and what can be done; actions stand below. */
export function ProblemNote({ problem, children }: { problem: Problem; children?: ComponentChildren }) {
  const { name, message, hint } = problem;
  return (
    <section class="card problem" role="alert" data-problem={name}>
      <h2>{titleOf(name)}</h2>
      <p class="text">{inLabels(message)}</p>
      {hint && !message.includes(hint) && <p class="text">{inLabels(hint)}</p>}
      {children}
    </section>
  );
}
