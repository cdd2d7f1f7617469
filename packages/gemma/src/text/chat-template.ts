import {
  ChatTemplateError,
  type ChatMessage,
  type ChatTools,
  checkTools,
  messagesForTemplate,
} from './chat-message.js';

/** What a template of a conversation takes beside its messages. */
export interface TemplateOptions {
  /** Texts of the special tokens. */
  readonly bosToken: string;
  readonly eosToken: string;
  /** End with the opening of the model's turn. Default false. */
  readonly addGenerationPrompt?: boolean;
  readonly tools?: ChatTools;
}

/** A conversation as one text, special tokens included. */
export interface RenderedChat {
  readonly text: string;
  /** What the model says, [from, to) in the text, where the template marks it with `{% generation %}`. */
  readonly generated?: readonly (readonly [from: number, to: number])[];
}

/** Messages as one text. @throws ChatTemplateError where the template fails, or cannot express them */
export type ChatTemplate = (messages: readonly ChatMessage[], options: TemplateOptions) => RenderedChat;

// Characters that no text has: the last of Unicode's private planes.
const opening = '\u{10fffc}';
const closing = '\u{10fffd}';

/**
 * The template of a Jinja source (https://huggingface.co/docs/transformers/chat_templating). One that cannot be read throws
 * ChatTemplateError when it is to render: the model it came with is of use without conversations too.
 */
export async function compileChatTemplate(source: string): Promise<ChatTemplate> {
  // Loaded here: a model without a template of its own needs no Jinja.
  const { boundedTemplate } = await import('./bounded-template.js');
  const marked = withMarks(source);
  let templates: readonly ReturnType<typeof boundedTemplate>[] | undefined;
  return (messages, { bosToken, eosToken, addGenerationPrompt = false, tools }) => {
    checkTools(tools, source);
    checkTokens(source);
    const given = messagesForTemplate(messages, source);
    checkCharacters([given, tools]);
    let texts: readonly string[];
    try {
      templates ??= (marked === source ? [source] : [marked, source]).map(boundedTemplate);
      texts = templates.map((template) =>
        template({
          messages: given,
          tools: tools ?? null,
          // In Python they are there, and empty.
          documents: null,
          bos_token: bosToken,
          eos_token: eosToken,
          add_generation_prompt: addGenerationPrompt,
        }),
      );
    } catch (error) {
      throw new ChatTemplateError(-1, `the chat template failed: ${(error as Error).message}`);
    }
    const rendered = withoutMarks(texts[0]!);
    if (/\p{Surrogate}/u.test(rendered.text))
      throw new ChatTemplateError(
        -1,
        'the conversation, as the chat template writes it, has half a character (a lone surrogate)',
      );
    // Marks within what a filter trims or counts would change it.
    if (texts.some((text) => withoutMarks(text).text !== rendered.text))
      throw new ChatTemplateError(
        -1,
        'the chat template changes the text that it marks by {% generation %} afterwards, so it does not tell what the model says',
      );
    return rendered;
  };
}

/** @throws ChatTemplateError for a template that writes special tokens beside the beginning and the end of a text */
function checkTokens(source: string): void {
  const [name] = /\b(unk|pad|sep|cls|mask)_token\b/.exec(source) ?? [];
  if (name !== undefined)
    throw new ChatTemplateError(-1, `the chat template writes ${name}; only bos_token and eos_token are supported`);
}

/** @throws ChatTemplateError for texts with one of the characters that are marks here */
function checkCharacters(values: unknown): void {
  const [character] = /[\u{10fffc}\u{10fffd}]/u.exec(JSON.stringify(values)) ?? [];
  if (character !== undefined)
    throw new ChatTemplateError(
      -1,
      `a text has the character U+${character.codePointAt(0)!.toString(16).toUpperCase()}, which stands for something else here: take it out`,
    );
}

/** Jinja sources of a model that has one template, or another for conversations with tools. */
export interface ChatTemplates {
  readonly default: string;
  readonly toolUse?: string;
}

/**
 * The templates that a tokenizer_config.json has in `chat_template`: one, or a list of `{ name, template }`, of which transformers takes
 * `tool_use` for conversations with tools and `default` for others; undefined where there is none.
 * @throws ChatTemplateError for a list without a default, and for what is neither
 */
export function chatTemplatesOf(chatTemplate: unknown): ChatTemplates | undefined {
  if (chatTemplate === undefined || chatTemplate === null) return undefined;
  if (typeof chatTemplate === 'string') return { default: chatTemplate };
  const named = new Map<unknown, unknown>(
    Array.isArray(chatTemplate) ? chatTemplate.map((each) => [each?.name, each?.template]) : [],
  );
  const source = named.get('default');
  const toolUse = named.get('tool_use');
  if (typeof source !== 'string')
    throw new ChatTemplateError(
      -1,
      "tokenizer_config.json: chat_template is neither a text nor a list of {name, template} with one named 'default'",
    );
  return { default: source, ...(typeof toolUse === 'string' && { toolUse }) };
}

/**
 * The library takes `{% generation %}` for nothing; here it writes a mark. As a block, not an expression, so that the lines and spaces
 * around it are treated as before.
 */
function withMarks(source: string): string {
  return source.replaceAll(
    /\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}/g,
    (_, left: string, end: string | undefined, right: string) =>
      `{%${left} if true %}${end === undefined ? opening : closing}{% endif ${right}%}`,
  );
}

function withoutMarks(text: string): RenderedChat {
  const generated: [number, number][] = [];
  let plain = '';
  let from: number | undefined;
  for (const part of text.split(/([\u{10fffc}\u{10fffd}])/u)) {
    if (part === opening) from = plain.length;
    else if (part === closing) {
      if (from === undefined)
        throw new ChatTemplateError(-1, 'the chat template ends a generation that it did not begin');
      generated.push([from, plain.length]);
      from = undefined;
    } else plain += part;
  }
  if (from !== undefined) throw new ChatTemplateError(-1, 'the chat template begins a generation that it does not end');
  return generated.length === 0 ? { text: plain } : { text: plain, generated };
}
