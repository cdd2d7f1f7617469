import { withoutOpening } from '../../text/markers.js';
import { type PictureText, spreadPictures, writePictures } from '../../text/picture-text.js';
import { PromptImagesError } from '../../text/prompt-images-error.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import type { PromptForm } from '../family.js';
import { gemmaPrompt } from '../gemma/prompt.js';
import type { Gemma3VisionConfig } from './config.js';

/** What data sets write for a picture of whatever model. */
const commonMark = '<image>';

/** A picture as Gemma3Processor of transformers writes it: its tokens between two marks, apart from what is around. */
function pictureTextOf(config: Gemma3VisionConfig): (tokenizer: Tokenizer) => PictureText {
  return (tokenizer) => {
    const [mark, place, end] = [config.imageStartId, config.imageTokenId, config.imageEndId].map((id) => {
      const text = tokenizer.decode([id], { skipSpecialTokens: false });
      if (tokenizer.tokenId(text) !== id)
        throw new PromptImagesError(
          `the tokenizer has no token ${id}, with which this model writes pictures; the tokenizer is not this model's`,
        );
      return text;
    }) as [string, string, string];
    return {
      mark,
      written: `\n\n${mark}${place}${end}\n\n`,
      token: config.imageTokenId,
      places: config.tokensPerImage,
    };
  };
}

/** A text with pictures where its marks (`<start_of_image>`, or `<image>`) say, or before it, is gone on with; chat goes through the template. */
export function gemma3VisionPrompt(config: Gemma3VisionConfig): PromptForm {
  const pictureText = pictureTextOf(config);
  return {
    ...gemmaPrompt,
    encodePrompt(prompt, tokenizer, pictures = 0) {
      if (pictures === 0) return gemmaPrompt.encodePrompt(prompt, tokenizer);
      const form = pictureText(tokenizer);
      const { text } = withoutOpening(prompt, gemmaPrompt.opening(tokenizer));
      const isMarked = text.includes(form.mark) || text.includes(commonMark);
      const marked = isMarked ? text.replaceAll(commonMark, form.mark) : form.mark.repeat(pictures) + text;
      const tokens = tokenizer.encode(writePictures(marked, form, pictures));
      return spreadPictures(tokens, tokens, form);
    },
    pictureText,
    rowExample: '{"messages": [{"role": "user", "content": [{"type": "image", "image": "cat.png"}, …]}, …]}',
  };
}
