import {
  ChatTemplateError,
  chatTemplateOf,
  contentText,
  decodeImage,
  encodeChatPrompt,
  imageParts,
  opensThought,
  PromptImagesError,
  stopTokensOf,
  thoughtStart,
  type ChatMessage,
  type ChatTemplateKwargs,
  type ChatTools,
  type HostRows,
  type Model,
  type ModelPrompt,
  type Tokenizer,
  type WeightFormat,
} from '@lapidary/gemma';

/** A text that is continued as it stands, or a conversation. */
export type Question = string | readonly ChatMessage[];

/** What comes with a question. */
export interface BesideQuestion {
  /** Pictures: files, or what is in them (PNG, JPEG, WebP). */
  readonly images?: readonly (Uint8Array | Blob)[] | undefined;
  /** Functions that the answer may call. */
  readonly tools?: ChatTools | undefined;
  /** What else the chat template takes: `{ enable_thinking: true }`. */
  readonly chatTemplateKwargs?: ChatTemplateKwargs | undefined;
}

/** What is known of a model where questions are put to it. */
export interface Asked {
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  /** Says how its pictures were prepared. */
  readonly format: WeightFormat;
  /** Whether its files list the tokens that end a text. */
  readonly listsEnds: boolean;
  /** Of a model with a table that stays on the host. */
  readonly hostRows?: HostRows | undefined;
}

/** A question as a generator takes it. @throws ChatTemplateError, ImageError, PromptImagesError */
export async function encodeQuestion(
  asked: Asked,
  question: Question,
  { images = [], ...chat }: BesideQuestion,
): Promise<ModelPrompt> {
  const tokens = questionTokens(asked, question, images.length, chat);
  return { tokens, ...(images.length > 0 && { patches: await patchesOf(asked, images) }) };
}

/** As transformers, a text is gone on with until a token that the model's files list, if they do; a turn of a conversation also ends with it. */
export function endsOf({ model, tokenizer, listsEnds }: Asked, question: Question): readonly number[] {
  return listsEnds && typeof question === 'string' ? model.eosTokenIds : stopTokensOf(model, tokenizer);
}

/** What an answer to a conversation begins with though the model does not write it: the mark of a thought that its prompt opens. */
export function openingOf({ tokenizer }: Asked, question: Question, { tokens }: ModelPrompt): string {
  if (typeof question === 'string') return '';
  const end = tokenizer.decode(tokens.slice(-thoughtStart.length), { skipSpecialTokens: false });
  return opensThought(end) ? thoughtStart : '';
}

/** Token ids of a question about so many pictures. @throws ChatTemplateError, PromptImagesError */
export function questionTokens(
  { model, tokenizer }: Asked,
  question: Question,
  pictures: number,
  { tools, chatTemplateKwargs: kwargs }: Omit<BesideQuestion, 'images'>,
): readonly number[] {
  const { name, vision, prompt: form } = model;
  const places = typeof question === 'string' ? 0 : imageParts(question).length;
  if (vision === undefined && pictures + places > 0)
    throw new PromptImagesError('this model has no vision tower, but the prompt has pictures');
  const template = typeof question === 'string' ? null : chatTemplateOf(model, tokenizer);
  for (const [given, what] of [
    [tools, 'tools'],
    [kwargs, 'chat_template_kwargs'],
  ] as const)
    if (Object.keys(given ?? {}).length > 0 && template === null)
      throw new ChatTemplateError(
        -1,
        `there are ${what}, which only a chat template takes: ${name} was not asked through one`,
      );
  if (typeof question === 'string') return form.encodePrompt(question, tokenizer, pictures);
  if (template !== null)
    return encodeChatPrompt(tokenizer, withPictures(question, pictures), {
      template,
      stopTokens: stopTokensOf(model, tokenizer),
      pictureText: form.pictureText,
      ...(tools && { tools }),
      ...(kwargs && { kwargs }),
    });
  const [message, ...others] = question;
  if (message === undefined || others.length > 0)
    throw new ChatTemplateError(1, `${name} answers a single message; there is no chat with it`);
  // Pictures come before it, wherever they stand.
  return form.encodePrompt(contentText(message, 0, '') ?? '', tokenizer, pictures);
}

/** A conversation with so many pictures: at their places in it, or before the last text of the user's. @throws PromptImagesError */
function withPictures(messages: readonly ChatMessage[], pictures: number): readonly ChatMessage[] {
  const found = imageParts(messages).length;
  if (found === pictures) return messages;
  if (found > 0)
    throw new PromptImagesError(`there are ${pictures} pictures, but the conversation has places for ${found}`);
  const last = messages.findLastIndex(({ role }) => role === 'user');
  if (last < 0) throw new PromptImagesError('there are pictures, but no message of the user to stand in');
  return messages.map((message, i) => {
    if (i !== last) return message;
    const images = Array.from({ length: pictures }, () => ({ type: 'image' as const }));
    return { ...message, content: [...images, { type: 'text', text: contentText(message, i) ?? '' }] };
  });
}

/** f32 [I·N, patchValues]. */
async function patchesOf({ model, format }: Asked, images: readonly (Uint8Array | Blob)[]): Promise<Float32Array> {
  const { vision, preparePicture } = model;
  if (vision === undefined || preparePicture === undefined)
    throw new PromptImagesError('this model has no vision tower, but the prompt has pictures');
  const values = vision.patchesPerImage * vision.patchValues;
  const patches = new Float32Array(images.length * values);
  for (const [i, image] of images.entries())
    patches.set(preparePicture(await decodeImage(image), { format }), i * values);
  return patches;
}
