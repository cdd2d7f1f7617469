import {
  createMemoryStore,
  createMetricsLogger,
  type FileStore,
  loadLatestCheckpoint,
  prepareRunFolder,
  readCheckpointState,
  readMetrics,
  readRunFile,
  readSamples,
  type RunStart,
} from '@lapidary/trainer';
import type { Dice } from '../dice.js';
import { brokenJson, type Json, jsonText } from '../mutate-json.js';
import { encode, type FuzzReader, mustHold } from '../reader.js';
import { mayRefuse } from './gguf.js';
import { safetensorsFile } from './safetensors.js';

const config: { [key: string]: Json } = {
  steps: 3,
  batchSize: 2,
  lora: { rank: 4, targets: 'all', alpha: 8 },
  data: { source: 'rows.jsonl', format: 'auto' },
  evalFraction: 0.1,
};

const run: Json = { format: 'lapidary-run-1', config, rows: 'messages' };
const step: Json = {
  step: 1,
  epoch: 0.5,
  loss: 2.5,
  evalLoss: null,
  learningRate: 1e-4,
  gradNorm: 1,
  tokensPerSecond: 100,
  stepMs: 10,
  peakBytes: 1000,
};
const sample: Json = { step: 1, id: 'line 1', prompt: 'a', answer: 'b', expected: null };

const tensors = { a: { dtype: 'F32', shape: [2], data_offsets: [0, 8] } };
const tensorsName = 'checkpoints/step-00000001.0123abcd.safetensors';
const hashMark = '@@hash@@';
const checkpoint: Json = {
  format: 'lapidary-checkpoint-1',
  step: 1,
  tensors: { file: tensorsName, bytes: 8 + JSON.stringify(tensors).length + 8, sha256: hashMark },
  state: { step: 1, tokens: 10, baseEvalLoss: null },
};

const lines = (value: Json, dice: Dice) =>
  encode(dice.list(dice.below(4), () => brokenJson(value, dice)).join('\n') + dice.pick(['\n', '', '\n\n']));

async function sha256(bytes: Uint8Array): Promise<string> {
  const hash = await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The manifest with the hash that whoever changed it would give it. */
async function signed(text: string, tensorFile: Uint8Array): Promise<string> {
  const named = text.replace(hashMark, await sha256(tensorFile));
  try {
    const again = JSON.stringify(JSON.parse(named));
    return `{"sha256":"${await sha256(encode(again))}","checkpoint":${again}}`;
  } catch {
    return named;
  }
}

async function storeOf(files: Readonly<Record<string, Uint8Array>>): Promise<FileStore> {
  const store = createMemoryStore();
  const { 'run.json': runFile, 'metrics.jsonl': metrics, 'samples.jsonl': samples, manifest, tensors: stored } = files;
  if (runFile) await store.write('run.json', runFile);
  if (metrics) await store.write('metrics.jsonl', metrics);
  if (samples) await store.write('samples.jsonl', samples);
  if (manifest && stored) {
    await store.write(tensorsName, stored);
    await store.write('checkpoints/step-00000001.json', await signed(new TextDecoder().decode(manifest), stored));
  }
  return store;
}

const start: RunStart = {
  config,
  totalSteps: 3,
  startStep: 1,
  baseEvalLoss: null,
  trainRows: 1,
  evalRows: 0,
  adapter: { vendor: '', architecture: '', backend: '' },
  memory: [],
  load: null,
  startedAt: '2026-01-01T00:00:00.000Z',
};

/** A run's folder: run.json, metrics.jsonl, samples.jsonl, a checkpoint with its manifest. */
export const runFilesReader: FuzzReader = {
  name: 'run-files',
  make(dice) {
    const isTensors = dice.chance(0.3);
    return {
      'run.json': encode(dice.chance(0.5) ? brokenJson(run, dice) : jsonText(run)),
      'metrics.jsonl': lines(step, dice),
      'samples.jsonl': lines(sample, dice),
      manifest: encode(isTensors ? JSON.stringify(checkpoint) : brokenJson(checkpoint, dice)),
      tensors: safetensorsFile(isTensors ? brokenJson(tensors, dice) : JSON.stringify(tensors), new Uint8Array(8)),
    };
  },
  async read(files) {
    const store = await storeOf(files);
    await mayRefuse(async () => {
      const steps = await readMetrics(store);
      mustHold(
        steps.every((record) => Number.isSafeInteger(record.step)),
        'a step of its metrics has no number',
      );
      const samples = await readSamples(store);
      mustHold(
        samples.every((record) => typeof record.answer === 'string'),
        'an answer of its samples is no text',
      );
    });
    await mayRefuse(() => readCheckpointState(store));
    await mayRefuse(async () => {
      for (const { dtype, read } of (await loadLatestCheckpoint(store))?.tensors.values() ?? []) {
        mustHold(dtype !== undefined, 'a tensor of its checkpoint is of no type');
        await read();
      }
    });
    await mayRefuse(() => prepareRunFolder(store, { config, resume: true, overwrite: false }));
    await createMetricsLogger(store).onStart?.(start);
    await readRunFile(await storeOf(files));
  },
};
