import { describe, expect, it } from 'vitest';
import { baseNameOf } from './base-name.js';

const gguf = (metadata: Record<string, unknown>, description: string | null = '/home/me/secret/model.gguf') =>
  baseNameOf({ description }, { format: 'gguf', metadata });
const folder = (description: string | null, metadata: Record<string, unknown> = {}) =>
  baseNameOf({ description }, { format: 'safetensors', metadata });
const url = (id: string) => `https://huggingface.co/${id}`;

describe('the base of a GGUF', () => {
  const parent = (id: string, more: object = {}) => gguf({ 'general.base_model.0.repo_url': url(id), ...more });

  it.each([
    [{ 'general.source.huggingface.repository': 'google/gemma-3-1b-it' }, 'google/gemma-3-1b-it'],
    [{ 'general.source.repo_url': url('google/gemma-2b') }, 'google/gemma-2b'],
    [{ 'general.source.url': `${url('google/gemma-2b')}/tree/main` }, 'google/gemma-2b'],
    [{ 'general.source.repo_url': 'https://github.com/google/gemma_pytorch' }, undefined],
    [{ 'general.source.repo_url': 4 }, undefined],
    [{ 'general.source.repo_url': url('me/mine'), 'general.base_model.0.repo_url': url('google/gemma-2b') }, 'me/mine'],
  ])('is what it was made of: %j', (metadata, name) => {
    expect(gguf(metadata)).toBe(name);
  });

  it('is its one parent', () => {
    expect(parent('google/gemma-3-4b-it')).toBe('google/gemma-3-4b-it');
    expect(parent('google/gemma-3-4b-it', { 'general.base_model.count': 1 })).toBe('google/gemma-3-4b-it');
    expect(parent('google/gemma-3-4b-it', { 'general.base_model.count': 2 })).toBeUndefined();
    expect(parent('google/gemma-3-4b-it', { 'general.name': 'Gemma 3 4b It' })).toBe('google/gemma-3-4b-it');
    expect(parent('google/gemma-3-4b-it.git')).toBe('google/gemma-3-4b-it');
  });

  it('is not the pretrained model that a tuned one began from', () => {
    expect(parent('google/gemma-3-1b-pt', { 'general.name': 'Gemma 3 1b It' })).toBeUndefined();
    expect(parent('google/gemma-3-1b-pt', { 'general.finetune': 'it' })).toBeUndefined();
    expect(parent('google/gemma-2-2b', { 'general.finetune': 'Instruct' })).toBeUndefined();
    expect(parent('google/gemma-3-1b-pt', { 'general.finetune': 'pt' })).toBe('google/gemma-3-1b-pt');
  });

  it('is never where it lies, on this machine or on the hub', () => {
    expect(gguf({})).toBeUndefined();
    expect(gguf({}, 'someone/gemma-3-1b-it-GGUF/model.gguf')).toBeUndefined();
    expect(gguf({ 'general.source.repo_url': '/home/me/secret' })).toBeUndefined();
  });
});

describe('the base of a folder', () => {
  it.each([
    ['google/gemma-3-1b-it', 'google/gemma-3-1b-it'],
    ['https://huggingface.co/google/gemma-3-1b-it', 'google/gemma-3-1b-it'],
    ['https://huggingface.co/google/gemma-3-1b-it/tree/main?token=hf_x', 'google/gemma-3-1b-it'],
    ['/home/me/secret/gemma', undefined],
    ['C:\\Users\\me\\gemma', undefined],
    ['https://example.org/private/gemma?signature=x', undefined],
    [null, undefined],
  ])('is its hub id: %s', (description, name) => {
    expect(folder(description)).toBe(name);
  });

  it.each([
    ['google/gemma-2b', 'google/gemma-2b'],
    ['/content/drive/gemma', undefined],
    ['./gemma', undefined],
    ['../models/gemma', undefined],
    ['gemma', undefined],
    ['', undefined],
    [7, undefined],
  ])('is what config.json was saved from, if that is a hub id: %s', (name, expected) => {
    expect(folder('/home/me/secret/gemma', { _name_or_path: name })).toBe(expected);
  });
});

it('is what the loader says, whatever the files say', () => {
  const metadata = { 'general.source.repo_url': url('me/mine') };
  expect(baseNameOf({ baseModel: '../base' }, { format: 'gguf', metadata })).toBe('../base');
  expect(baseNameOf({ description: 'owner/name' }, { format: 'npz', metadata: {} })).toBeUndefined();
});
