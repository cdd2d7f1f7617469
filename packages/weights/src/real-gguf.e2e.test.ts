import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { gemmaPresets } from '@lapidary/gemma';
import { expect, it } from 'vitest';
import { gemmaWeightLoader } from './registry.js';
import { formatLoadReport } from './loader/report.js';

const path =
  process.env['LAPIDARY_REAL_GGUF'] ?? join(homedir(), '.cache/lapidary/real-weights/gemma-3-270m-q4_k_m.gguf');
const present = existsSync(path);
if (!present)
  console.warn(`NOT RUN: real weights. There is no ${path}; set LAPIDARY_REAL_GGUF to a Gemma 3 270M GGUF.`);

it.runIf(present)('reads every byte of the published Gemma 3 270M, as stored', async () => {
  const weights = await gemmaWeightLoader({ from: path }).open();
  expect({ ...weights.config, eosTokenIds: [1] }).toEqual(gemmaPresets['gemma-3-270m']);
  let bytes = 0;
  let largest = 0;
  let norm = new Float32Array(0);
  const report = await weights.load(weights.entries, {
    write(name, _, piece) {
      bytes += piece.length;
      largest = Math.max(largest, piece.length);
      if (name === 'layers.0.inputNorm.weight') norm = new Float32Array(piece.slice().buffer);
    },
  });
  await weights.close();
  console.log(formatLoadReport(report));
  expect(report.loaded.length + report.converted.length).toBe(18 * 13 + 2);
  expect(bytes).toBe(report.bytes);
  expect(largest).toBeLessThanOrEqual(8 * 2 ** 20);
  expect(norm.every((value) => Number.isFinite(value))).toBe(true);
});
