// What a model says about held-out pictures, and how often that is exactly right.
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parseRow, readJsonl } from '@lapidary/trainer';
import type { TextModel } from 'lapidary';

/** A question about a picture, and its answer. */
export interface Question {
  /** As the data file names it. */
  readonly image: string;
  readonly png: Uint8Array;
  readonly prompt: string;
  readonly expected: string;
}

/** The rows of a JSONL file, pictures read. */
export async function readQuestions(file: string): Promise<Question[]> {
  const questions: Question[] = [];
  for (const row of readJsonl(await readFile(file, 'utf8'), file, parseRow)) {
    if (!('prompt' in row) || typeof row.image !== 'string')
      throw new TypeError(`${file}, line ${row.line}: a row of {image, prompt, completion} is needed`);
    const png = new Uint8Array(await readFile(resolve(dirname(file), row.image)));
    questions.push({ image: row.image, png, prompt: row.prompt, expected: row.completion });
  }
  return questions;
}

/** The model's likeliest answer to each question. */
export async function answerAll(
  model: TextModel,
  questions: readonly Question[],
  signal?: AbortSignal,
): Promise<string[]> {
  const answers: string[] = [];
  for (const { png, prompt } of questions) {
    let text = '';
    const options = { images: [png], maxNewTokens: 16, ...(signal && { signal }) };
    for await (const part of model.answer(prompt, options)) text += part;
    answers.push(text);
  }
  return answers;
}

/** How many answers are right to the letter. */
export function share(questions: readonly Pick<Question, 'expected'>[], answers: readonly string[]): number {
  return questions.filter(({ expected }, i) => answers[i] === expected).length / questions.length;
}
