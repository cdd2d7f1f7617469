/**
 * What llama.cpp calls tokenizers: those that join the pieces of a SentencePiece model by their scores, and those that join characters by a
 * list of merges.
 */
export const ggufTokenizers = { pieces: 'llama', merges: 'gemma4' } as const;
