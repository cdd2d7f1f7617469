import { parseRowJson } from './parse-row-json.js';

/** Says what is wrong with a row, with its place. */
type Fail = (message: string) => never;

/**
 * A row as other tools have it in our form: big_vision's {prefix, suffix}, ShareGPT's {conversations: [{from, value}]}, Alpaca's
 * {instruction, input, output}; tools as JSON text, as columns of tables hold them. What is none of theirs stays as it is.
 */
export function inOurForm(value: object, fail: Fail): object {
  const row = value as Record<string, unknown>;
  if ('prefix' in row || 'suffix' in row) return fromBigVision(row);
  if ('conversations' in row && !('messages' in row)) return withTools(fromShareGpt(row, fail), fail);
  if ('instruction' in row && 'output' in row && !('prompt' in row) && !('messages' in row))
    return fromAlpaca(row, fail);
  return 'messages' in row ? withTools(row, fail) : row;
}

function fromBigVision({ prefix, suffix, ...rest }: Record<string, unknown>): object {
  return {
    ...(prefix !== undefined && { prompt: prefix }),
    ...(suffix !== undefined && { completion: suffix }),
    ...rest,
  };
}

/** Who speaks, as ShareGPT and its kin call them. */
const speakers: Readonly<Record<string, string>> = {
  human: 'user',
  user: 'user',
  gpt: 'assistant',
  chatgpt: 'assistant',
  assistant: 'assistant',
  model: 'assistant',
  bing: 'assistant',
  bard: 'assistant',
  system: 'system',
  tool: 'tool',
  observation: 'tool',
};

function fromShareGpt(
  { conversations, system, ...rest }: Record<string, unknown>,
  fail: Fail,
): Record<string, unknown> {
  if (!Array.isArray(conversations)) return fail("field 'conversations': it must be a list of turns {from, value}");
  const messages = conversations.map((turn: unknown, i) => {
    if (typeof turn !== 'object' || turn === null || Array.isArray(turn))
      return fail(`field 'conversations.${i}': a turn must be an object {from, value}`);
    // OpenAI's turns under ShareGPT's name.
    if ('role' in turn || 'content' in turn) return turn;
    const { from, value, ...more } = turn as Record<string, unknown>;
    const role = typeof from === 'string' && Object.hasOwn(speakers, from) ? speakers[from] : undefined;
    if (role === undefined) {
      const known = Object.keys(speakers).join(', ');
      return fail(
        `field 'conversations.${i}.from': it must be one of ${known}, not ${JSON.stringify(from) ?? 'missing'}`,
      );
    }
    if (typeof value !== 'string') return fail(`field 'conversations.${i}.value': it must be a text`);
    return { ...more, role, content: value };
  });
  if (system !== undefined && system !== null && typeof system !== 'string')
    return fail("field 'system': it must be a text");
  return { messages: [...(system ? [{ role: 'system', content: system }] : []), ...messages], ...rest };
}

/** Instruction and input are the prompt. The `text` that some data sets have beside them says the same once more. */
function fromAlpaca(
  { instruction, input, output, system, history, ...rest }: Record<string, unknown>,
  fail: Fail,
): object {
  if (Array.isArray(history) ? history.length > 0 : history != null && history !== '')
    return fail("field 'history': earlier turns are read as {messages}, not beside 'instruction'");
  const parts = Object.entries({ system, instruction, input }).flatMap(([field, part]) => {
    if (part === undefined || part === null || part === '') return [];
    return typeof part === 'string' ? [part] : fail(`field '${field}': it must be a text`);
  });
  return { ...rest, prompt: parts.join('\n\n'), completion: output };
}

function withTools(row: Record<string, unknown>, fail: Fail): Record<string, unknown> {
  const { tools, ...rest } = row;
  if (typeof tools !== 'string') return row;
  if (tools.trim() === '') return rest;
  try {
    return { ...rest, tools: parseRowJson(tools) };
  } catch (error) {
    return fail(`field 'tools': it is a text, but no JSON: ${(error as Error).message.slice(0, 120)}`);
  }
}

/** What prompts and completions are called in data sets that people have. */
const promptNames = [
  'question',
  'query',
  'instruction',
  'input',
  'source',
  'context',
  'document',
  'article',
  'problem',
  'user',
];
const completionNames = [
  'answer',
  'response',
  'output',
  'target',
  'summary',
  'highlights',
  'solution',
  'reply',
  'label',
  'assistant',
];

/** What to do with a row of no form that is known. */
export function renamingAdvice(keys: readonly string[]): string {
  const find = (names: readonly string[]) =>
    names.flatMap((name) => keys.filter((key) => key.toLowerCase() === name))[0];
  const prompt = find(promptNames);
  const completion = find(completionNames);
  const [body] = keys.filter((key) =>
    ['content', 'body', 'document', 'article', 'passage'].includes(key.toLowerCase()),
  );
  if (prompt !== undefined && completion !== undefined)
    return `if '${prompt}' is the prompt and '${completion}' the completion, set \`data.promptKey\` to '${prompt}' and \`data.completionKey\` to '${completion}'`;
  if (body !== undefined) return `if '${body}' is a text to learn as it stands, call it 'text'`;
  return "say with `data.promptKey` and `data.completionKey` which of these are the prompt and the completion, or rename a plain text to 'text'";
}
