import {
  ChatTemplateError,
  type ChatMessage,
  type ChatTemplateKwargs,
  type ChatTools,
  checkKwargs,
  checkTools,
} from './chat-message.js';
import type { Model } from '../families/family.js';
import { messagesForTemplate } from './template-messages.js';
import type { Tokenizer } from './tokenizer.js';

/** What a template of a conversation takes beside its messages. */
export interface TemplateOptions {
  /** Texts of the special tokens. */
  readonly bosToken: string;
  readonly eosToken: string;
  /** End with the opening of the model's turn. Default false. */
  readonly addGenerationPrompt?: boolean;
  readonly tools?: ChatTools;
  readonly kwargs?: ChatTemplateKwargs;
  /** What stands for a picture in a text. Left out: there are no pictures. */
  readonly imageMark?: string | undefined;
}

/** A conversation as one text, special tokens included. */
export interface RenderedChat {
  readonly text: string;
  /** What the model says, [from, to) in the text, where the template marks it with `{% generation %}`. */
  readonly generated?: readonly (readonly [from: number, to: number])[];
}

/** Messages as one text. @throws ChatTemplateError where the template fails, or cannot express them */
export type ChatTemplate = (messages: readonly ChatMessage[], options: TemplateOptions) => RenderedChat;

/**
 * The template of a Jinja source (https://huggingface.co/docs/transformers/chat_templating). One that cannot be read throws
 * ChatTemplateError when it is to render: the model it came with is of use without conversations too.
 */
export async function compileChatTemplate(source: string): Promise<ChatTemplate> {
  // Loaded here: a model without a template of its own needs no Jinja.
  const { readTemplate } = await import('./jinja/template.js');
  let template: ReturnType<typeof readTemplate> | undefined;
  return (messages, { bosToken, eosToken, addGenerationPrompt = false, tools, kwargs, imageMark }) => {
    checkTools(tools, source);
    checkKwargs(kwargs, source);
    const given = messagesForTemplate(messages, source, imageMark);
    let rendered: ReturnType<ReturnType<typeof readTemplate>>;
    try {
      template ??= readTemplate(source);
      rendered = template({
        ...kwargs,
        messages: given,
        tools: tools ?? null,
        // In Python they are there, and empty.
        documents: null,
        bos_token: bosToken,
        eos_token: eosToken,
        add_generation_prompt: addGenerationPrompt,
      });
    } catch (error) {
      throw new ChatTemplateError(-1, `the chat template failed: ${(error as Error).message}`);
    }
    if (/\p{Surrogate}/u.test(rendered.text))
      throw new ChatTemplateError(
        -1,
        'the conversation, as the chat template writes it, has half a character (a lone surrogate)',
      );
    const { text, generated } = rendered;
    return generated.length === 0 ? { text } : { text, generated };
  };
}

/**
 * How a conversation with a model is written: by the template that its tokenizer came with, or its family's own; null for a model that
 * answers single prompts.
 * @throws ChatTemplateError for a model that needs a template and came with none
 */
export function chatTemplateOf(
  { name, prompt }: Pick<Model, 'name' | 'prompt'>,
  tokenizer: Pick<Tokenizer, 'applyChatTemplate'>,
): ChatTemplate | null {
  if (!prompt.takesChat) return null;
  const template = tokenizer.applyChatTemplate ?? prompt.chatTemplate;
  if (template !== null) return template;
  throw new ChatTemplateError(
    -1,
    `${name} came without a chat template, and its family has none of its own: put the chat_template.jinja that was published with it beside the model`,
  );
}

/** Where templates stand beside a model: the usual one, the one that is taken in its place, and the one for conversations with tools. */
export const chatTemplateFiles = [
  'chat_template.jinja',
  'additional_chat_templates/default.jinja',
  'additional_chat_templates/tool_use.jinja',
] as const;

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
