import type { ImagePart, TextPart } from '@lapidary/gemma';
import * as v from 'valibot';

// Pictures in the rows of conversations, in the forms that others have.

/** A path (from the folder of the data file), a URL, or what a page has at hand. */
export const image = v.union([
  v.pipe(v.string(), v.nonEmpty('must not be empty')),
  v.instance(Blob),
  v.instance(Uint8Array),
]);
export type ImageReference = v.InferOutput<typeof image>;

const allowed =
  'parts of a conversation must be {"type": "text", "text": "…"} or {"type": "image", "image": "…"}; others are not supported';

/** A part of a message: text, or a picture as transformers (`image`, `url`, `path`) and OpenAI (`image_url`) have it. */
export const part = v.variant(
  'type',
  [
    v.object({ type: v.literal('text'), text: v.string() }),
    v.strictObject({
      type: v.literal('image'),
      image: v.nullish(image),
      url: v.nullish(v.string()),
      path: v.nullish(v.string()),
      text: v.nullish(v.null()),
    }),
    v.strictObject({
      type: v.literal('image_url'),
      image_url: v.union([v.string(), v.object({ url: v.string() })], 'must be a URL, or {"url": "…"}'),
    }),
  ],
  allowed,
);
type Part = v.InferOutput<typeof part>;

/** A picture whose place is known; where it comes from may be said beside the messages. */
interface PlacedImage extends ImagePart {
  readonly image?: ImageReference;
}

/** A part in the house's form. */
export function ownPart(given: Part): TextPart | PlacedImage {
  switch (given.type) {
    case 'text':
      return given;
    case 'image': {
      const reference = given.image ?? given.url ?? given.path ?? undefined;
      return { type: 'image', ...(reference !== undefined && { image: reference }) };
    }
    case 'image_url':
      return {
        type: 'image',
        image: typeof given.image_url === 'string' ? given.image_url : given.image_url.url,
      };
  }
}

/** What data sets write in a text where a picture stands. */
const marks = /<image>|<start_of_image>/;

interface Message {
  readonly role: string;
  readonly content?: unknown;
}

/**
 * Messages whose every picture is a part that names it. Pictures beside the messages belong to the parts that name none, in order; where
 * there are no such parts, to the marks (`<image>`, `<start_of_image>`) in the texts of users; without marks they stand before the first
 * user's text.
 * @throws by `fail`, where they are not as many
 */
export function placeImages<M extends Message>(
  messages: readonly M[],
  beside: readonly ImageReference[],
  fail: (problem: string) => never,
): M[] {
  const partsOf = (content: unknown) => (Array.isArray(content) ? (content as (TextPart | PlacedImage)[]) : []);
  const isOpen = (each: TextPart | PlacedImage) => each.type === 'image' && each.image === undefined;
  const open = messages.flatMap(({ content }) => partsOf(content).filter(isOpen));
  if (beside.length === 0 && open.length === 0) return [...messages];
  const placed = open.length > 0 ? [...messages] : withMarkedParts(messages);
  const places = placed.flatMap(({ content }) => partsOf(content).filter(isOpen)).length;
  if (places === 0) return withFirst(placed, beside);
  if (places !== beside.length)
    fail(`there are ${beside.length} pictures beside the messages, but these have ${places} places for them`);
  const left = [...beside];
  return placed.map((message) =>
    Array.isArray(message.content)
      ? {
          ...message,
          content: partsOf(message.content).map((each) => (isOpen(each) ? { ...each, image: left.shift()! } : each)),
        }
      : message,
  );
}

/** Marks in users' texts as parts. */
function withMarkedParts<M extends Message>(messages: readonly M[]): M[] {
  return messages.map((message) => {
    const { role, content } = message;
    const isMarked = (text: unknown) => typeof text === 'string' && marks.test(text);
    const texts = Array.isArray(content) ? (content as (TextPart | PlacedImage)[]) : [{ type: 'text', text: content }];
    if (role !== 'user' || !texts.some((each) => each.type === 'text' && isMarked((each as TextPart).text)))
      return message;
    const parts = texts.flatMap((each): (TextPart | PlacedImage)[] => {
      if (each.type !== 'text') return [each as PlacedImage];
      return (each as TextPart).text
        .split(new RegExp(marks, 'g'))
        .flatMap((text, i): (TextPart | PlacedImage)[] => [
          ...(i > 0 ? [{ type: 'image' as const }] : []),
          ...(text === '' ? [] : [{ type: 'text' as const, text }]),
        ]);
    });
    return { ...message, content: parts };
  });
}

function withFirst<M extends Message>(messages: readonly M[], images: readonly ImageReference[]): M[] {
  const first = messages.findIndex(({ role }) => role === 'user');
  return messages.map((message, i) => {
    if (i !== first) return message;
    const { content } = message;
    const texts = Array.isArray(content) ? (content as TextPart[]) : [{ type: 'text', text: content ?? '' }];
    return { ...message, content: [...images.map((each) => ({ type: 'image', image: each })), ...texts] };
  });
}
