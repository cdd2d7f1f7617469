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
/** JavaScript takes U+FEFF for a blank, which templates would trim; Python does not. */
const byteOrderMark = '\u{10fffb}';

/**
 * The template of a Jinja source (https://huggingface.co/docs/transformers/chat_templating). One that cannot be read throws
 * ChatTemplateError when it is to render: the model it came with is of use without conversations too.
 */
export async function compileChatTemplate(source: string): Promise<ChatTemplate> {
  // Loaded here: a model without a template of its own needs no Jinja.
  const { boundedTemplate } = await import('./bounded-template.js');
  let template: ReturnType<typeof boundedTemplate> | undefined;
  return (messages, { bosToken, eosToken, addGenerationPrompt = false, tools }) => {
    checkTools(tools, source);
    const given = messagesForTemplate(messages, source);
    let text: string;
    try {
      template ??= boundedTemplate(withMarks(source));
      text = template({
        messages: hideByteOrderMarks(given),
        tools: hideByteOrderMarks(tools ?? null),
        bos_token: bosToken,
        eos_token: eosToken,
        add_generation_prompt: addGenerationPrompt,
      });
    } catch (error) {
      throw new ChatTemplateError(-1, `the chat template failed: ${(error as Error).message}`);
    }
    return withoutMarks(text.replaceAll(byteOrderMark, '\ufeff'));
  };
}

function hideByteOrderMarks<T>(value: T): T {
  const text = JSON.stringify(value);
  return text.includes('\ufeff') ? (JSON.parse(text.replaceAll('\ufeff', byteOrderMark)) as T) : value;
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
