/** A file's text without its comments. Its lines stay, so that a message names the line of the file. */
export const withoutComments = (text) => text.replace(/[ \t]*\/\/.*$/gm, '');

const isWord = (c) => /[\w@]/.test(c);
const isOperator = (c) => /[-+*/%&|^<>=!~.]/.test(c);

/**
 * Shorter still, for whoever downloads it: without the spaces that no token needs. Between two words and between two operators they
 * stay (`a - -b`, `return x`); the lines stay too.
 */
export const compact = (text) =>
  withoutComments(text)
    .split('\n')
    .map((line) =>
      line
        .trim()
        .replace(/(\S)\s+(?=(\S))/g, (_, before, after) =>
          (isWord(before) && isWord(after)) || (isOperator(before) && isOperator(after)) ? `${before} ` : before,
        ),
    )
    .join('\n');
