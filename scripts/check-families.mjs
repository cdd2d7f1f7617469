// Checks that no code outside of packages/gemma/src/families/ goes by the name of a model family: what differs between families is
// data of `Model` and `ModelFamily`. Names are found in identifiers, in texts and in comments.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import ts from 'typescript';
import { root } from './run.mjs';

/** Files that may name families: the families themselves, the loaders of one family, recipes, and what the packages are called. */
const mayName =
  /^packages\/(gemma\/src\/families\/|(weights\/src\/registry|lapidary\/src\/recipes)\.ts$)|\.(test|bench)\.ts$|\/testing\//;

/** Of identifiers: `paliGemmaHidden`, `siglipConfig`, `gemma3Presets`. */
const nameInIdentifier = /pali|siglip|gemma_?\d/i;
/** Of texts; a hub id such as `gemma-3-270m`, in an example, is a file's name. */
const nameInText = /^gemma$|gemma_?\d|paligemma|siglip/i;
/** In comments, where they say what a family does: a family, or a generation by its number. */
const nameInComment = /paligemma|siglip|\bgemma[ -]?\d/i;
/** Names of one loader and of its options, in an example of how it is called. */
const allowed = /^(gemmaWeightLoader|GemmaWeightLoaderOptions|@lapidary\/gemma)$/;

const problems = [];

function check(path, text) {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const report = (position, what, name) => {
    const line = source.getLineAndCharacterOfPosition(position).line + 1;
    problems.push(`${path}:${line}: ${what} names a model family: ${name.trim().replace(/\s+/g, ' ').slice(0, 100)}`);
  };
  const seen = new Set();
  const comments = (node) => {
    for (const range of [
      ...(ts.getLeadingCommentRanges(text, node.getFullStart()) ?? []),
      ...(ts.getTrailingCommentRanges(text, node.getEnd()) ?? []),
    ]) {
      if (seen.has(range.pos)) continue;
      seen.add(range.pos);
      const words = text.slice(range.pos, range.end);
      const found = nameInComment.exec(words);
      if (found) report(range.pos + found.index, 'a comment', words.slice(found.index));
    }
  };
  const visit = (node) => {
    comments(node);
    if (ts.isIdentifier(node) || ts.isPrivateIdentifier(node)) {
      if (nameInIdentifier.test(node.text) && !allowed.test(node.text))
        report(node.getStart(), 'an identifier', node.text);
    } else if (ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node)) {
      if (nameInText.test(node.text) && !allowed.test(node.text)) report(node.getStart(), 'a text', node.text);
    } else if (ts.isRegularExpressionLiteral(node) && nameInText.test(node.text))
      report(node.getStart(), 'a pattern', node.text);
    // Tokens too, for the comments before closing brackets.
    for (const child of node.getChildren(source)) visit(child);
  };
  visit(source);
}

let files = 0;
for (const name of readdirSync(join(root, 'packages'))) {
  const folder = join(root, 'packages', name, 'src');
  for (const file of readdirSync(folder, { recursive: true })) {
    const path = relative(root, join(folder, file)).split(sep).join('/');
    if (!/\.ts$/.test(path) || mayName.test(path)) continue;
    files++;
    check(path, readFileSync(join(root, path), 'utf8'));
  }
}

for (const problem of problems) console.error(problem);
console.log(
  problems.length === 0
    ? `Families are named where they belong: ${files} files.`
    : `${problems.length} names of model families outside of packages/gemma/src/families/.`,
);
process.exitCode = problems.length === 0 ? 0 : 1;
