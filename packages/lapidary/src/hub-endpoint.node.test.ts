import { expect, test } from 'vitest';
import { hubEndpoint } from './hub-endpoint-node.js';

test.each([
  [undefined, 'https://huggingface.co'],
  ['', 'https://huggingface.co'],
  ['https://hub.example/', 'https://hub.example'],
  ['http://127.0.0.1:8080', 'http://127.0.0.1:8080'],
  ['https://hub.example/behind/a/path//', 'https://hub.example/behind/a/path'],
])('HF_ENDPOINT %j is %s', (HF_ENDPOINT, endpoint) => {
  expect(hubEndpoint({ HF_ENDPOINT })).toBe(endpoint);
});

test.each([
  'hub.example',
  'ftp://hub.example',
  'https://ada:secret@hub.example',
  'https://hub.example?token=secret',
  'https://',
])('HF_ENDPOINT %s is refused, and not repeated', (HF_ENDPOINT) => {
  expect(() => hubEndpoint({ HF_ENDPOINT })).toThrow(/^HF_ENDPOINT is no address of a hub\.$/);
});
