import { textConfigOf, visionConfigOf } from '@lapidary/gemma';
import { describeAdapter, openGpu, type Gpu } from '@lapidary/gpu';
import { byteLength } from '@lapidary/kernels';
import { TextModel } from 'lapidary';
import {
  openData,
  openModel,
  planModel,
  planRun,
  planRunMemory,
  runTraining,
  tryFit,
  type RunLogger,
  type TrainingSummary,
} from '@lapidary/trainer';
import { bufferSource } from '@lapidary/weights';
import { downloadZip } from 'client-zip';
import { loaderOf } from './model-loader.js';
import { Problem } from './problem.js';
import type {
  AnswerRequest,
  DeviceReport,
  ModelChoice,
  ModelReport,
  PlanReport,
  RunEvent,
  RunRequest,
  SavedRun,
} from './protocol.js';
import { listRuns, readData, readRun, removeRun, runStore, saveRequest } from './run-store.js';
import { nameOfModel } from './saved-model.js';
import { trainConfigOf } from './train-config.js';

const adapterFiles = ['adapter_config.json', 'adapter_model.safetensors'] as const;

/** Everything that the page has done in its worker, where it stands in nobody's way. */
export class TrainingSession {
  #gpu: Promise<Gpu> | undefined;
  #stop: AbortController | undefined;
  #chat: { readonly key: string; readonly model: Promise<TextModel> } | undefined;
  #answering: AbortController | undefined;

  /** The device, opened once; once more after it was lost. */
  #device(): Promise<Gpu> {
    if (this.#gpu === undefined) {
      const opened = openGpu();
      this.#gpu = opened;
      const forget = () => {
        if (this.#gpu !== opened) return;
        this.#gpu = undefined;
        this.#chat = undefined;
      };
      opened.then((gpu) => gpu.lost.then(forget), forget);
    }
    return this.#gpu;
  }

  async device(): Promise<DeviceReport> {
    const { profile } = await this.#device();
    return {
      name: describeAdapter(profile.adapter),
      isSoftware: profile.adapter.isSoftware,
      hasF16: profile.features.has('shader-f16'),
      maxBufferSize: profile.limits.maxBufferSize,
    };
  }

  /** What a model is, from the headers of its files. */
  async inspect(model: ModelChoice): Promise<ModelReport> {
    const { weights, config } = await openModel(loaderOf(model));
    try {
      const tensors = [...weights.entries.values()].map(({ dtype, shape }) => {
        const size = shape.reduce((a, b) => a * b, 1);
        return { size, bytes: byteLength(dtype, size) };
      });
      const { numLayers, hiddenSize, vocabSize } = textConfigOf(config);
      return {
        name: nameOfModel(model),
        format: weights.format,
        parameters: tensors.reduce((n, { size }) => n + size, 0),
        bytes: tensors.reduce((n, { bytes }) => n + bytes, 0),
        layers: numLayers,
        hiddenSize,
        vocabSize,
        seesPictures: visionConfigOf(config) !== undefined,
      };
    } finally {
      await weights.close();
    }
  }

  /** What a run would take, and whether it fits, from the headers and the rows: no weight is read. */
  async plan(request: Omit<RunRequest, 'seesPictures'>): Promise<PlanReport> {
    const gpu = await this.#device();
    const config = await trainConfigOf(request);
    const open = await openModel(config.weightLoader);
    try {
      const data = await openData(config, open);
      const model = planModel(open, config);
      const plan = planRunMemory(gpu.profile, model, data, config);
      const { totalSteps, stepsPerEpoch } = planRun(config, data.train.length);
      return {
        trainRows: data.train.length,
        heldRows: data.held.length,
        steps: totalSteps,
        epochs: totalSteps / stepsPerEpoch,
        trainableParameters: model.step.trained.reduce((n, { param }) => n + param.tensor.size, 0),
        memory: plan.memory,
        totalBytes: plan.totalBytes,
        fit: await tryFit(gpu, plan, config),
        notices: data.notices,
      };
    } finally {
      await open.weights.close();
    }
  }

  /** Writes a new run down; `train` begins it. @returns its id. */
  createRun(request: RunRequest): Promise<string> {
    return saveRequest(request);
  }

  /**
   * Trains a run from where its last checkpoint is, to its end or until `pause`.
   * @throws TrainingInterruptedError after `pause`; whatever the trainer throws.
   */
  async train(id: string, model: ModelChoice, onEvent: (event: RunEvent) => unknown): Promise<TrainingSummary> {
    // Two tabs that train one run would overwrite each other's checkpoints.
    return navigator.locks.request(`lapidary-run-${id}`, { ifAvailable: true }, async (lock) => {
      if (lock === null) {
        throw new Problem({
          name: 'RunInUseError',
          message: 'This run is being trained in another tab.',
          hint: 'Close that tab, or go on there.',
        });
      }
      const run = await this.#mustRead(id);
      await this.closeChat();
      const stop = new AbortController();
      this.#stop = stop;
      const tell = (event: RunEvent) => void onEvent(event);
      const request = { model, data: await readData(run), settings: run.settings };
      const config = await trainConfigOf(request, {
        resume: run.savedStep > 0,
        signal: stop.signal,
        onNotice: (message) => tell({ type: 'notice', message }),
      });
      try {
        return await runTraining(config, {
          store: await runStore(id),
          gpu: await this.#device(),
          signal: stop.signal,
          logger: loggerTo(tell),
        });
      } finally {
        this.#stop = undefined;
      }
    });
  }

  /** Ends training after the step under way; a checkpoint of it is written. */
  pause(): void {
    this.#stop?.abort();
  }

  listRuns(): Promise<SavedRun[]> {
    return listRuns();
  }

  readRun(id: string): Promise<SavedRun | null> {
    return readRun(id);
  }

  async removeRun(id: string): Promise<void> {
    await this.closeChat();
    await removeRun(id);
  }

  /** The adapter of a finished run as PEFT has it, with its report and figures, as a zip. */
  async download(id: string): Promise<Blob> {
    const store = await runStore(id);
    const names = [...adapterFiles, 'report.html', 'metrics.jsonl', 'summary.json'];
    return downloadZip(names.map((name) => ({ name, input: store.readChunks(name) }))).blob();
  }

  /** The answer of a model, tuned by a finished run or as it came (`id` null), told piece by piece. */
  async answer(
    id: string | null,
    model: ModelChoice,
    { prompt, picture, maxTokens, temperature }: AnswerRequest,
    onText: (text: string) => unknown,
  ): Promise<void> {
    const stop = new AbortController();
    this.#answering = stop;
    const opened = await this.#openChat(id, model);
    const answer = opened.answer(prompt, {
      maxNewTokens: maxTokens,
      temperature,
      images: picture ? [picture] : [],
      signal: stop.signal,
    });
    try {
      // Waited for, so that the last piece is there before the end is told.
      for await (const text of answer) await onText(text);
    } catch (error) {
      if (!stop.signal.aborted) throw error;
    }
  }

  stopAnswer(): void {
    this.#answering?.abort();
  }

  async #openChat(id: string | null, model: ModelChoice): Promise<TextModel> {
    const key = id ?? 'base';
    if (this.#chat?.key !== key) {
      await this.#unload();
      this.#chat = { key, model: this.#load(id, model) };
    }
    try {
      return await this.#chat!.model;
    } catch (error) {
      this.#chat = undefined;
      throw error;
    }
  }

  async #load(id: string | null, model: ModelChoice): Promise<TextModel> {
    const gpu = await this.#device();
    if (id === null) return TextModel.open(loaderOf(model), { gpu });
    const store = await runStore(id);
    const adapter = await Promise.all(adapterFiles.map(async (name) => bufferSource(name, await store.read(name))));
    return TextModel.open(loaderOf(model), { gpu, adapter });
  }

  /** Ends an answer under way, and gives back the memory of the model that answers. */
  async closeChat(): Promise<void> {
    this.#answering?.abort();
    await this.#unload();
  }

  async #unload(): Promise<void> {
    const chat = this.#chat;
    this.#chat = undefined;
    const model = await chat?.model.catch(() => undefined);
    model?.destroy();
  }

  async #mustRead(id: string): Promise<SavedRun> {
    const run = await readRun(id);
    if (run !== null) return run;
    throw new Problem({
      name: 'RunMissingError',
      message: 'This run is no longer in the storage of this browser.',
      hint: 'Start a new one.',
    });
  }
}

/** Hands on what a run tells; the run does not wait for the page. */
function loggerTo(tell: (event: RunEvent) => void): RunLogger {
  return {
    onPhase: (phase) => tell({ type: 'phase', ...phase }),
    onStart: (start) => tell({ type: 'start', start }),
    onStep: (record) => tell({ type: 'step', record }),
    onEval: (record) => tell({ type: 'eval', record }),
    onSample: (record) => tell({ type: 'sample', record }),
    onCheckpoint: ({ step }) => tell({ type: 'checkpoint', step }),
    onNotice: (message) => tell({ type: 'notice', message }),
  };
}
