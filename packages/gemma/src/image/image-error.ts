/**
 * What is wrong with a picture: no bytes; bytes of something else; cut off; damaged; more pixels than is sane; or what this
 * runtime cannot decode.
 */
export type ImageProblem = 'empty' | 'not-a-picture' | 'truncated' | 'corrupt' | 'too-large' | 'unsupported';

/** A picture that cannot be read. */
export class ImageError extends Error {
  override readonly name = 'ImageError';
  /** As the caller named it. */
  readonly file: string;
  readonly problem: ImageProblem;
  constructor(file: string, problem: ImageProblem, explanation: string, options?: ErrorOptions) {
    super(`${file}: ${explanation}`, options);
    this.file = file;
    this.problem = problem;
  }
}
