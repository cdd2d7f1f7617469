import { ChatTemplateError, checkKwargs, checkTurns } from '../../text/chat-message.js';
import type { ChatTemplate } from '../../text/chat-template.js';
import { messagesForTemplate } from '../../text/template-messages.js';
import { strip } from '../../text/jinja/text.js';
import { withoutOpening } from '../../text/markers.js';
import { specialTexts } from '../../text/tokenizer.js';
import type { PromptForm } from '../family.js';

const turnEnd = '<end_of_turn>';
/** After a call FunctionGemma writes what opens the response, which is for others to give. */
const responseStart = '<start_function_response>';

/** Gemma's turns (https://ai.google.dev/gemma/docs/core/prompt-structure): user and model by turns, no system, no tools. */
export const gemmaChatTemplate: ChatTemplate = (
  messages,
  { bosToken, addGenerationPrompt = false, tools, kwargs, imageMark },
) => {
  if (tools !== undefined && tools.length > 0)
    throw new ChatTemplateError(
      -1,
      "there are tools, but the model came without a chat template, and its family's own turns know no tools; put the chat_template.jinja that was published with it beside the model",
    );
  checkKwargs(kwargs, '');
  const turns = messagesForTemplate(messages, '', imageMark);
  checkTurns(turns);
  const texts = turns.map(
    ({ role, content }) =>
      `<start_of_turn>${role === 'assistant' ? 'model' : role}\n${strip(String(content))}${turnEnd}\n`,
  );
  return { text: `${bosToken}${texts.join('')}${addGenerationPrompt ? '<start_of_turn>model\n' : ''}` };
};

/** The same in Jinja. */
const gemmaChatTemplateSource = `{{ bos_token }}
{%- for message in messages %}
    {%- if message['role'] not in ['user', 'assistant'] %}
        {{- raise_exception('Only the roles user and assistant are supported') }}
    {%- elif (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {%- endif %}
    {{- '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\\n' }}
    {{- (message['content'] | trim) + '${turnEnd}\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}`;

/** A text is gone on with as it stands; a conversation goes through the chat template. */
export const gemmaPrompt: PromptForm = {
  opening: (tokenizer) => [specialTexts(tokenizer).bosToken],
  encodePrompt: (prompt, tokenizer) => tokenizer.encode(withoutOpening(prompt, gemmaPrompt.opening(tokenizer)).text),
  isPrefixBidirectional: false,
  takesChat: true,
  chatTemplate: gemmaChatTemplate,
  chatTemplateSource: gemmaChatTemplateSource,
  needsPictures: false,
  rowExample: '{"prompt": "…", "completion": "…"}',
  stopTokens: (tokenizer) => [turnEnd, responseStart].flatMap((token) => tokenizer.tokenId(token) ?? []),
};
