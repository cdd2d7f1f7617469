import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { type CardKind, modelCard } from './model-card.js';

const frontOf = (card: string) => parse(/^---\n(.*?)\n---\n/s.exec(card)![1]!) as Record<string, unknown>;

test.each<[CardKind, object]>([
  ['adapter', { library_name: 'peft', base_model_relation: 'adapter', tags: ['lora', 'lapidary'] }],
  ['model', { library_name: 'transformers', base_model_relation: 'finetune', tags: ['lapidary'] }],
  ['gguf', { library_name: 'gguf', base_model_relation: 'finetune', tags: ['gguf', 'lapidary'] }],
  ['gguf-adapter', { library_name: 'gguf', base_model_relation: 'adapter', tags: ['gguf', 'lora', 'lapidary'] }],
])('the card of a %s names its library, and its base', (kind, front) => {
  const card = modelCard({ title: 'x', kind, base: 'google/gemma-3-270m', training: null });
  expect(frontOf(card)).toEqual({ base_model: 'google/gemma-3-270m', ...front });
  expect(card).toMatch(
    /of \[google\/gemma-3-270m\]\(https:\/\/huggingface\.co\/google\/gemma-3-270m\).* made with Lapidary\.\n/,
  );
  expect(card).not.toMatch(/^##/m);
});

test('what is not known is left out', () => {
  const card = modelCard({ title: 'x', kind: 'model', base: null, training: null });
  expect(frontOf(card)).toEqual({ library_name: 'transformers', tags: ['lapidary'] });
  expect(card).toContain('\nA fine-tuned model made with Lapidary.\n');
});

test('licence, data sets, counts, settings and losses stand in it', () => {
  const training = {
    datasets: ['owner/rows'],
    counts: [['rows trained on', 12_345]] as const,
    settings: [
      ['learning rate', 0.0002],
      ['LoRA on', 'qProj, vProj'],
    ] as const,
    losses: [['training, last step', 1.23456]] as const,
  };
  const card = modelCard({ title: 'x', kind: 'adapter', base: null, training }, { license: 'gemma' });
  expect(frontOf(card)).toMatchObject({ datasets: ['owner/rows'], license: 'gemma' });
  expect(card).toContain('## Training\n\n| | |\n|---|---|\n| rows trained on | 12,345 |\n');
  expect(card).toContain('| learning rate | 2.00e-4 |\n| LoRA on | qProj, vProj |\n');
  expect(card).toContain('## Losses\n\n| | |\n|---|---|\n| training, last step | 1.235 |\n');
});

test.each(['a\n---\nlicense: mit', '<script>x</script>', '| x | [y](z) `q`', 'a\r\n# b', '\\'])(
  'nothing that a setting or a licence says is taken for more than text: %j',
  (text) => {
    const training = { datasets: [], counts: [], settings: [['seed', text]] as const, losses: [] };
    const card = modelCard({ title: text, kind: 'model', base: null, training }, { license: text });
    expect(frontOf(card)).toEqual({ library_name: 'transformers', tags: ['lapidary'], license: text });
    const body = card.replace(/^---\n.*?\n---\n/s, '');
    expect(body).not.toMatch(/\n---|(?<!\\)[<[`]/);
    // The headline, and those of the one section.
    expect(body.match(/^#/gm)).toHaveLength(2);
    expect(body.split('\n').filter((line) => line.includes('seed'))).toEqual([
      expect.stringMatching(/^\| seed \| .* \|$/),
    ]);
  },
);
