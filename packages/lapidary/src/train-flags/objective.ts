import { group } from './train-flag.js';

export const objectiveFlags = group('Objective', [
  {
    name: '--objective',
    value: '<type>',
    path: 'objective.type',
    kind: 'text',
    help: 'completion, dpo: learns from {prompt, chosen, rejected} which of two answers is preferred, or contrastive: from {anchor, positive} which texts belong together (default: completion)',
  },
  {
    name: '--label-smoothing',
    value: '<x>',
    path: 'objective.labelSmoothing',
    kind: 'number',
    help: "share of each target's probability that is spread over all words; of dpo the chance that a pair is the wrong way round (default: 0)",
  },
  {
    name: '--beta',
    value: '<x>',
    path: 'objective.beta',
    kind: 'number',
    help: 'of dpo: the larger, the closer the model stays to what it was (default: 0.1)',
  },
  {
    name: '--loss-type',
    value: '<type>',
    path: 'objective.lossType',
    kind: 'text',
    help: 'of dpo: sigmoid, ipo or hinge (default: sigmoid)',
  },
  {
    name: '--scale',
    value: '<x>',
    path: 'objective.scale',
    kind: 'number',
    help: 'of contrastive: what cosines are multiplied by, 1 / temperature (default: 20)',
  },
  {
    name: '--query-prompt',
    value: '<name or text>',
    path: 'objective.queryPrompt',
    kind: 'text',
    help: "of contrastive: what stands before anchors (default: the model's prompt query)",
  },
  {
    name: '--document-prompt',
    value: '<name or text>',
    path: 'objective.documentPrompt',
    kind: 'text',
    help: "of contrastive: what stands before the other texts (default: the model's prompt document)",
  },
]);
