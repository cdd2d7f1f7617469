import { isFields, type Fields } from '../config/fields.js';
import { showValue } from '../config/json.js';

// What tokenizer.json may say. The library runs whatever a file names, regular expressions included, and one of those need not end;
// Gemma's tokenizers are made of few parts, and only these are let through.

/** Above any real vocabulary: a table as long as the largest id is made. */
const largestVocabulary = 2 ** 21;
/** Steps of a normaliser, a pre-tokenizer or a decoder, and characters that one puts in place of others: Gemma's replaces one by one. */
const mostSteps = 8;
const longestContent = 4;

/** Throws the error of a file with what is wrong where. */
export type Refuse = (problem: string) => never;

/**
 * The parts of a tokenizer.json that texts are encoded and decoded by, checked: a BPE model, and texts replaced by texts around it.
 * Others are known to change nothing here: `truncation`, `padding`; `post_processor` is read by `textEnds`.
 */
export function checkTokenizerJson(json: unknown, refuse: Refuse): Fields {
  if (!isFields(json)) {
    const hint = typeof json === 'string' ? ', not its text: JSON.parse it first' : `, not ${showValue(json, 40)}`;
    return refuse(`what tokenizer.json holds must be given as an object${hint}`);
  }
  const { normalizer = null, pre_tokenizer: preTokenizer = null, decoder = null, added_tokens: added = [] } = json;
  checkSteps(normalizer, { field: 'normalizer', list: 'normalizers', kinds: normalizers }, refuse);
  checkSteps(preTokenizer, { field: 'pre_tokenizer', list: 'pretokenizers', kinds: preTokenizers }, refuse);
  checkIdle(preTokenizer, normalizer, refuse);
  checkSteps(decoder, { field: 'decoder', list: 'decoders', kinds: decoders }, refuse);
  checkOrder(decoder, refuse);
  const vocab = checkModel(json['model'], refuse);
  checkAdded(added, vocab, refuse);
  return {
    model: json['model'],
    normalizer,
    pre_tokenizer: null,
    decoder,
    added_tokens: added,
    post_processor: null,
  };
}

type Check = (step: Fields, field: string, refuse: Refuse) => void;

interface Steps {
  readonly field: string;
  /** What a sequence calls its steps. */
  readonly list: string;
  readonly kinds: Readonly<Record<string, Check>>;
}

const replace: Check = ({ pattern, content }, field, refuse): void => {
  checkPattern(pattern, field, refuse);
  const told = showValue(content);
  if (typeof content !== 'string' || content.length > longestContent)
    refuse(`${field}.content is ${told}; a text of at most ${longestContent} characters is supported`);
  // The library replaces as JavaScript does.
  else if (content.includes('$')) refuse(`${field}.content is ${told}; a text without '$' is supported`);
};

const nothing: Check = () => undefined;

const normalizers = {
  Replace: replace,
  Prepend: ({ prepend }, field, refuse) => {
    if (typeof prepend !== 'string' || prepend.length > longestContent)
      refuse(`${field}.prepend is ${showValue(prepend)}; a text of at most ${longestContent} characters is supported`);
  },
} satisfies Steps['kinds'];

const behaviors = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'];

const preTokenizers = {
  Split: ({ pattern, behavior, invert = false }, field, refuse) => {
    checkPattern(pattern, field, refuse);
    if (typeof behavior !== 'string' || !behaviors.includes(behavior))
      refuse(`${field}.behavior is ${showValue(behavior)}, none of ${behaviors.join(', ')}`);
    if (invert !== false) refuse(`${field}.invert is ${showValue(invert)}; only false is supported`);
  },
} satisfies Steps['kinds'];

const decoders = {
  Replace: replace,
  ByteFallback: nothing,
  Fuse: nothing,
} satisfies Steps['kinds'];

function checkSteps(value: unknown, { field, list, kinds }: Steps, refuse: Refuse): void {
  if (value === null) return;
  if (!isFields(value)) refuse(`${field} is ${showValue(value)}, neither null nor an object`);
  const isSequence = value['type'] === 'Sequence';
  const steps = isSequence ? value[list] : [value];
  if (!Array.isArray(steps) || steps.length > mostSteps)
    refuse(`${field}.${list} is ${showValue(steps)}, no list of at most ${mostSteps} steps`);
  steps.forEach((step: unknown, i) => {
    const at = isSequence ? `${field}.${list}[${i}]` : field;
    if (!isFields(step)) refuse(`${at} is ${showValue(step)}, not an object`);
    const { type } = step;
    const check = typeof type === 'string' && Object.hasOwn(kinds, type) ? kinds[type] : undefined;
    if (check === undefined)
      refuse(
        `${at} is of type ${showValue(type)}, which no Gemma has. Supported: ${['Sequence', ...Object.keys(kinds)].join(', ')}`,
      );
    return check(step, at, refuse);
  });
}

const stepsOf = (value: unknown, list: string): Fields[] =>
  !isFields(value) ? [] : value['type'] === 'Sequence' ? (value[list] as Fields[]) : [value];
const textOf = ({ pattern }: Fields) => (pattern as Fields)['String'] as string;

/** Gemma's pre-tokenizer splits at spaces, which its normaliser has replaced: it does nothing. One that splits texts is refused. */
function checkIdle(preTokenizer: unknown, normalizer: unknown, refuse: Refuse): void {
  const steps = stepsOf(normalizer, 'normalizers');
  for (const split of stepsOf(preTokenizer, 'pretokenizers')) {
    const text = textOf(split);
    const at = steps.findIndex((step) => step['type'] === 'Replace' && textOf(step) === text);
    const after = at < 0 ? [] : steps.slice(at).map(({ content, prepend }) => String(content ?? prepend));
    if (at < 0 || after.some((put) => [...put].some((character) => text.includes(character))))
      refuse(
        `pre_tokenizer splits at ${showValue(text)}, which the normalizer leaves in texts; only one that has nothing to split, as Gemma's, is supported`,
      );
  }
}

/** Bytes become text before all is put together. */
function checkOrder(decoder: unknown, refuse: Refuse): void {
  const types = stepsOf(decoder, 'decoders').map(({ type }) => type);
  const fuse = types.indexOf('Fuse');
  if (fuse >= 0 && types.lastIndexOf('ByteFallback') > fuse)
    refuse('decoder has ByteFallback after Fuse, which is not supported');
}

function checkPattern(pattern: unknown, field: string, refuse: Refuse): void {
  const text = isFields(pattern) && Object.keys(pattern).length === 1 ? pattern['String'] : undefined;
  if (typeof text === 'string' && text !== '') return;
  if (isFields(pattern) && 'Regex' in pattern)
    refuse(
      `${field}.pattern is the regular expression ${showValue(pattern['Regex'])}; only a text ({"String": …}), as Gemma has it, is supported`,
    );
  refuse(`${field}.pattern is ${showValue(pattern)}; only a text ({"String": …}), as Gemma has it, is supported`);
}

/** @returns the ids of its words */
function checkModel(model: unknown, refuse: Refuse): ReadonlyMap<string, number> {
  if (!isFields(model)) refuse(`model is ${showValue(model)}, not an object`);
  const { type, vocab, merges } = model;
  if ((type ?? 'BPE') !== 'BPE') refuse(`model.type is ${showValue(type)}; only BPE, as Gemma has it, is supported`);
  for (const field of ['dropout', 'continuing_subword_prefix', 'continuing_subword_suffix', 'end_of_word_suffix'])
    if (![null, undefined, '', 0].includes(model[field] as null))
      refuse(`model.${field} is ${showValue(model[field])}, which is not supported`);
  for (const field of ['fuse_unk', 'byte_fallback', 'ignore_merges'])
    if (!['boolean', 'undefined'].includes(typeof model[field]))
      refuse(`model.${field} is ${showValue(model[field])}, neither true nor false`);
  if (!isFields(vocab)) refuse(`model.vocab is ${showValue(vocab)}, no object of words and their ids`);
  const ids = new Map<string, number>();
  const words = new Map<number, string>();
  for (const [word, id] of Object.entries(vocab)) {
    checkId(id, `model.vocab, ${showValue(word)}:`, refuse);
    claim(words, id, word, refuse);
    ids.set(word, id);
  }
  if (ids.size === 0) refuse('model.vocab has no words');
  const unknown = model['unk_token'] ?? null;
  if (unknown !== null && !(typeof unknown === 'string' && ids.has(unknown)))
    refuse(`model.unk_token is ${showValue(unknown)}, which is no word of model.vocab`);
  checkMerges(merges, ids, refuse);
  return ids;
}

function checkId(id: unknown, where: string, refuse: Refuse): asserts id is number {
  if (!Number.isSafeInteger(id) || Number(id) < 0 || Number(id) >= largestVocabulary)
    refuse(`${where} the id ${showValue(id)} is no whole number from 0 to ${largestVocabulary - 1}`);
}

function claim(words: Map<number, string>, id: number, word: string, refuse: Refuse): void {
  const other = words.get(id);
  if (other !== undefined && other !== word)
    refuse(`the id ${id} is that of ${showValue(other)} and of ${showValue(word)}`);
  words.set(id, word);
}

/** As Hugging Face's reader: a merge makes a word of two words. */
function checkMerges(merges: unknown, ids: ReadonlyMap<string, number>, refuse: Refuse): void {
  if (!Array.isArray(merges)) refuse(`model.merges is ${showValue(merges)}, not a list`);
  const arePairs = Array.isArray(merges[0]);
  merges.forEach((merge: unknown, i) => {
    const pair: unknown = arePairs ? merge : typeof merge === 'string' ? merge.split(' ') : undefined;
    const [left, right, ...more] = Array.isArray(pair) ? (pair as unknown[]) : [];
    if (typeof left !== 'string' || typeof right !== 'string' || more.length > 0)
      refuse(`model.merges[${i}] is ${showValue(merge)}; it should be two words, written as the first merge is`);
    for (const word of [left, right, left + right])
      if (!ids.has(word))
        refuse(`model.merges[${i}] is ${showValue(merge)}, but ${showValue(word)} is no word of model.vocab`);
    return undefined;
  });
}

function checkAdded(added: unknown, ids: ReadonlyMap<string, number>, refuse: Refuse): void {
  if (!Array.isArray(added)) refuse(`added_tokens is ${showValue(added)}, not a list`);
  const words = new Map([...ids].map(([word, id]) => [id, word]));
  const seen = new Set<string>();
  let next = ids.size;
  added.forEach((token: unknown, i) => {
    const field = `added_tokens[${i}]`;
    if (!isFields(token)) refuse(`${field} is ${showValue(token)}, not an object`);
    const { content, id } = token;
    if (typeof content !== 'string' || content === '') refuse(`${field}.content is ${showValue(content)}, not a text`);
    checkId(id, `${field}, ${showValue(content)}:`, refuse);
    if (seen.has(content)) refuse(`${field} is ${showValue(content)}, which is there twice`);
    seen.add(content);
    const known = ids.get(content);
    if (known !== undefined && known !== id)
      refuse(`${field}, ${showValue(content)}, has the id ${id}, but ${known} in model.vocab`);
    claim(words, id, content, refuse);
    // As Hugging Face's library numbers them, whatever a file says.
    if (known === undefined && id !== next)
      refuse(
        `${field}, ${showValue(content)}, has the id ${id}; Hugging Face's library would give it ${next}, the next one`,
      );
    if (id >= next) next = id + 1;
    for (const flag of ['lstrip', 'rstrip', 'normalized', 'special', 'single_word'])
      if (!['boolean', 'undefined'].includes(typeof token[flag]))
        refuse(`${field}.${flag} is ${showValue(token[flag])}, neither true nor false`);
    for (const flag of ['single_word', 'lstrip', 'rstrip'])
      if (token[flag] === true) refuse(`${field}.${flag} is true, which is not supported`);
    return undefined;
  });
}
