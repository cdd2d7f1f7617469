import { formatNumber } from '@lapidary/trainer';
import { stringify } from 'yaml';

/** What is pushed: which library reads it. */
export type CardKind = 'adapter' | 'model' | 'gguf' | 'gguf-adapter';

/** What the card of a model tells. Nothing in it is of the machine that it was made on. */
export interface CardFacts {
  /** Its headline. */
  readonly title: string;
  readonly kind: CardKind;
  /** The hub id of the base; null where it is not known. */
  readonly base: string | null;
  /** Null where nothing is known of the training. */
  readonly training: TrainingFacts | null;
}

/** What is known of a run. */
export interface TrainingFacts {
  /** Hub ids of the rows' data sets. */
  readonly datasets: readonly string[];
  /** What it was trained on, how long, and with what: names and numbers. */
  readonly counts: readonly Fact[];
  readonly settings: readonly Fact[];
  readonly losses: readonly Fact[];
}

export type Fact = readonly [name: string, value: string | number];

const kinds: Readonly<Record<CardKind, { library: string; relation: string; tags: readonly string[]; what: string }>> =
  {
    adapter: { library: 'peft', relation: 'adapter', tags: ['lora'], what: 'A LoRA adapter, in the form of PEFT,' },
    model: { library: 'transformers', relation: 'finetune', tags: [], what: 'A fine-tuned model' },
    gguf: {
      library: 'gguf',
      relation: 'finetune',
      tags: ['gguf'],
      what: 'A fine-tuned model, in one file for llama.cpp,',
    },
    'gguf-adapter': {
      library: 'gguf',
      relation: 'adapter',
      tags: ['gguf', 'lora'],
      what: 'A LoRA adapter, in one file for llama.cpp (`--lora`),',
    },
  };

/** README.md of a repository: what the hub reads of it, and what people do. `licence`: fields of the base's card that say it. */
export function modelCard(
  { title, kind, base, training }: CardFacts,
  licence: Readonly<Record<string, string>> = {},
): string {
  const { library, relation, tags, what } = kinds[kind];
  const datasets = training?.datasets ?? [];
  const front = {
    ...(base !== null && { base_model: base, base_model_relation: relation }),
    library_name: library,
    tags: [...tags, 'lapidary'],
    ...(datasets.length > 0 && { datasets }),
    ...licence,
  };
  const of = base === null ? '' : ` of [${base}](https://huggingface.co/${base})`;
  const sections: readonly (readonly [string, readonly Fact[]])[] = [
    ['Training', training?.counts ?? []],
    ['Settings', training?.settings ?? []],
    ['Losses', training?.losses ?? []],
  ];
  return [
    `---\n${stringify(front)}---\n`,
    `# ${escaped(title)}\n`,
    `${what}${of} made with Lapidary.\n`.replace(/,( of \[.*\))? made/, ',$1 made'),
    ...sections.flatMap(([name, facts]) => (facts.length === 0 ? [] : [`## ${name}\n`, table(facts)])),
  ].join('\n');
}

function table(facts: readonly Fact[]): string {
  const rows = facts.map(([name, value]) => `| ${escaped(name)} | ${valueText(value)} |`);
  return ['| | |', '|---|---|', ...rows, ''].join('\n');
}

function valueText(value: Fact[1]): string {
  if (typeof value === 'string') return escaped(value);
  return Number.isInteger(value) ? value.toLocaleString('en') : formatNumber(value);
}

/** Text that Markdown takes as it is, on one line. */
function escaped(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/[\\`*_{}[\]<>#|&~]/g, (sign) => `\\${sign}`);
}
