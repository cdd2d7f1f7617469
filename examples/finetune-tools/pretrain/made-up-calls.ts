// Exercises for the base model: functions with made-up names and parameters, a request that names one of them, and the call. Words are
// made of syllables, and of what the tokenizer has one token for.
import { createRandom, type ChatMessage, type ChatTools } from '@lapidary/gemma';

/** A conversation as training reads it. */
export interface MadeUpRow {
  readonly messages: readonly ChatMessage[];
  readonly tools: ChatTools;
}

interface Parameter {
  readonly name: string;
  readonly isNumber: boolean;
}

/** Words that the example's functions have and its requests are said in, and names: none of them is made up. */
const leftOut = new Set(
  `a add alarm arguments assistant at boiler call calls cellar come content device door emma flour for friend function garden
   golden green hear hill honey hour i in integer is item level light list me messages minutes mixer morning my name need nina
   now object off old on once open parameters percent phone play please properties put required road robert role room send set
   shopping song start stove string study sugar switch talk text the timer to tool tools turn type user wake want write`.split(
    /\s+/,
  ),
);
const starts = [
  'b',
  'c',
  'd',
  'f',
  'g',
  'h',
  'k',
  'l',
  'm',
  'n',
  'p',
  'r',
  's',
  't',
  'v',
  'w',
  'br',
  'ch',
  'st',
  'tr',
  '',
];
const vowels = ['a', 'e', 'i', 'o', 'u', 'ee', 'oo', 'ai'];
const ends = ['', '', 'n', 'r', 's', 't', 'l', 'm', 'ck', 'nd', 'y', 'ss'];
const capital = (word: string) => word.charAt(0).toUpperCase() + word.slice(1);

/** A source of exercises; the same seed gives the same ones. `known` are words of one token. */
export function madeUpCalls(known: readonly string[], seed: number): () => MadeUpRow {
  const random = createRandom(seed);
  const below = (n: number) => Math.floor(random() * n);
  const pick = <T>(list: readonly T[]) => list[below(list.length)]!;
  const some = <T>(least: number, most: number, one: () => T) =>
    Array.from({ length: least + below(most - least + 1) }, one);
  const syllable = () => pick(starts) + pick(vowels) + pick(ends);
  const word = (): string => {
    const made = below(2) === 0 ? pick(known) : some(1, 2, syllable).join('');
    return made.length < 2 || leftOut.has(made) ? word() : made;
  };
  const number = () => (below(3) === 0 ? 5 * below(20) : below(100));
  const phrase = () => {
    const words = some(1, pick([1, 1, 2, 4]), word);
    const style = below(4);
    if (style === 0) return words.map(capital).join(' ');
    return style === 1 ? ['I', ...words].join(' ') : words.join(' ');
  };
  const declared = () => {
    const parameters = some(1, 2, (): Parameter => ({ name: word(), isNumber: below(3) === 0 }));
    return { words: some(1, 3, word), parameters: [...new Map(parameters.map((each) => [each.name, each])).values()] };
  };
  const nameOf = ({ words }: { readonly words: readonly string[] }) => words.join('_');

  return () => {
    const functions = some(2, 3, declared);
    const called = pick(functions);
    const { parameters } = called;
    const values = new Map(parameters.map(({ name, isNumber }) => [name, isNumber ? number() : phrase()]));
    const [first, ...others] = called.words;
    const rest = others.join(' ');
    const verb = below(2) === 0 ? first! : capital(first!);
    const named = parameters.map(({ name }) =>
      pick([
        () => `${name} ${values.get(name)}`,
        () => `${values.get(name)} ${name}`,
        () => `${values.get(name)} as ${name}`,
        () => `the ${name} ${values.get(name)}`,
        () => `${name}: ${values.get(name)}`,
      ])(),
    );
    const bare = parameters.map(({ name }) => `${values.get(name)}`);
    const said = below(2) === 0 || parameters.length > 1 ? named : bare;
    const filler = () => (below(2) === 0 ? '' : `${word()} `);
    const joined = said.join(pick([', ', ' and ', ' in ', ' to ', ' of ', ' for ']));
    const content = pick([
      () => `${verb} ${rest} ${joined}.`,
      () => `Please ${filler()}${verb} the ${rest} ${joined}.`,
      () => `In ${joined}, ${filler()}${first} ${rest}.`,
      () => `I want to ${first} ${joined} ${filler()}${rest}.`,
      () => `${capital(filler())}${joined} ${first} ${rest}, please.`,
      () => `The ${rest} ${first} ${filler()}${joined}.`,
    ])()
      .replace(/ {2,}/g, ' ')
      .replace(/ ([.,])/g, '$1');
    return {
      messages: [
        { role: 'user', content },
        {
          role: 'assistant',
          tool_calls: [{ type: 'function', function: { name: nameOf(called), arguments: Object.fromEntries(values) } }],
        },
      ],
      tools: functions.map((each) => ({
        type: 'function',
        function: {
          name: nameOf(each),
          parameters: {
            type: 'object',
            properties: Object.fromEntries(
              each.parameters.map(({ name, isNumber }) => [name, { type: isNumber ? 'integer' : 'string' }]),
            ),
          },
        },
      })),
    };
  };
}
