declare module 'vitest' {
  export interface ProvidedContext {
    /** What the adapter of this run must have in its description, in lower case; '' for whichever is best. */
    adapter: string;
  }
}
export {};
