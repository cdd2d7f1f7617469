import { releasedPrompts as before } from '../embeddinggemma/prompt.js';

const { query, document, STS: similarity } = before as Readonly<Record<'query' | 'document' | 'STS', string>>;

/** The prompts of the release, by the names that sentence-transformers and MTEB call them. */
export const releasedPrompts: Readonly<Record<string, string>> = {
  ...before,
  CodeRetrieval: 'task: code retrieval | query: ',
  Document: document,
  FactChecking: 'task: fact checking | query: ',
  QuestionAnswering: 'task: question answering | query: ',
  SearchQuery: query,
  SentenceSimilarity: similarity,
  Summarization: similarity,
};
