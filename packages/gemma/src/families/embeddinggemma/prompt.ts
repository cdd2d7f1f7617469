import type { PromptForm } from '../family.js';

const search = 'task: search result | query: ';
const similarity = 'task: sentence similarity | query: ';
const classification = 'task: classification | query: ';
const document = 'title: none | text: ';

/** The prompts of the release, by the names that sentence-transformers and MTEB call them. */
export const releasedPrompts: Readonly<Record<string, string>> = {
  query: search,
  document,
  BitextMining: search,
  Clustering: 'task: clustering | query: ',
  Classification: classification,
  InstructionRetrieval: 'task: code retrieval | query: ',
  MultilabelClassification: classification,
  PairClassification: similarity,
  Reranking: search,
  Retrieval: search,
  'Retrieval-query': search,
  'Retrieval-document': document,
  STS: similarity,
  Summarization: 'task: summarization | query: ',
};

/** A text is encoded as it stands, between what its tokenizer puts around it. Nobody is answered. */
export const embeddingGemmaPrompt: PromptForm = {
  opening: () => [],
  encodePrompt: (prompt, tokenizer) => tokenizer.encode(prompt),
  isPrefixBidirectional: true,
  takesChat: false,
  chatTemplate: null,
  chatTemplateSource: null,
  needsPictures: false,
  rowExample: '{"query": "…", "positive": "…"}',
  stopTokens: () => [],
};
