import type { Tokenizer } from '@lapidary/gemma';
import { describeAdapter, openGpu, type Gpu } from '@lapidary/gpu';
import { byteLength } from '@lapidary/kernels';
import {
  countParameters,
  openModel,
  prepareRun,
  runTraining,
  tryFit,
  type OpenModel,
  type RunLogger,
  type TrainingSummary,
} from '@lapidary/trainer';
import { bufferSource } from '@lapidary/weights';
import { downloadZip } from 'client-zip';
import { TextModel } from 'lapidary';
import { Chat } from './chat.js';
import { loaderOf, type LoaderOptions } from './model-loader.js';
import { Problem } from './problem.js';
import type {
  AnswerRequest,
  DeviceReport,
  ModelChoice,
  ModelReport,
  PlanReport,
  RunEvent,
  RunRecords,
  RunRequest,
  SavedRun,
} from './protocol.js';
import { hasFiles, listRuns, readData, readRecords, readRun, removeRun, runStore, saveRequest } from './run-store.js';
import { nameOfModel, saveModel } from './saved-model.js';
import { trainConfigOf } from './train-config.js';

const adapterFiles = ['adapter_config.json', 'adapter_model.safetensors'] as const;
const keyOf = (model: ModelChoice) => JSON.stringify(saveModel(model));

/** Everything that the page has done in its worker, where it stands in nobody's way. */
export class TrainingSession {
  #gpu: Promise<Gpu> | undefined;
  readonly #chat = new Chat();
  #stop: AbortController | undefined;
  /** Of the model that was opened last: Gemma's has hundreds of thousands of words, too many to read for each plan. */
  #tokenizer: { readonly key: string; readonly tokenizer: Tokenizer } | undefined;
  /** What is being opened. */
  #opening: Promise<unknown> = Promise.resolve();

  /** The device, opened once; once more after it was lost. */
  #device(): Promise<Gpu> {
    if (this.#gpu === undefined) {
      const opened = openGpu();
      this.#gpu = opened;
      const forget = () => {
        if (this.#gpu !== opened) return;
        this.#gpu = undefined;
        this.#chat.forget();
      };
      opened.then((gpu) => gpu.lost.then(forget), forget);
    }
    return this.#gpu;
  }

  #loaderOf(model: ModelChoice, options: LoaderOptions = {}) {
    const known = this.#tokenizer;
    return { ...loaderOf(model, options), ...(known?.key === keyOf(model) && { tokenizer: known.tokenizer }) };
  }

  /** Models are opened one after the other, so that their headers do not pile up. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#opening.then(work);
    this.#opening = result.catch(() => undefined);
    return result;
  }

  #remember(model: ModelChoice, { tokenizer }: OpenModel): void {
    this.#tokenizer = { key: keyOf(model), tokenizer };
  }

  async device(): Promise<DeviceReport> {
    const { profile } = await this.#device();
    return {
      name: describeAdapter(profile.adapter),
      isSoftware: profile.adapter.isSoftware,
      hasF16: profile.features.has('shader-f16'),
    };
  }

  /** What a model is, from the headers of its files. */
  inspect(model: ModelChoice): Promise<ModelReport> {
    return this.#inTurn(async () => {
      const open = await openModel(this.#loaderOf(model));
      this.#remember(model, open);
      const { weights } = open;
      const tensors = [...weights.entries.values()].map(({ dtype, shape }) => {
        const size = shape.reduce((a, b) => a * b, 1);
        return { size, bytes: byteLength(dtype, size) };
      });
      await weights.close();
      return {
        name: nameOfModel(model),
        format: weights.format,
        parameters: tensors.reduce((n, { size }) => n + size, 0),
        bytes: tensors.reduce((n, { bytes }) => n + bytes, 0),
        seesPictures: open.model.vision !== undefined,
        room: open.model.maxPositionEmbeddings - (open.model.vision?.tokensPerImage ?? 0),
      };
    });
  }

  /** What a run would take, and whether it fits, from the headers and the rows: no weight is read. */
  plan(request: Omit<RunRequest, 'seesPictures'>): Promise<PlanReport> {
    return this.#inTurn(async () => {
      const gpu = await this.#device();
      const config = await trainConfigOf(request, this.#loaderOf(request.model));
      const prepared = await prepareRun(config, gpu, { tuning: { mode: 'never' }, refuse: false });
      await prepared.close();
      this.#remember(request.model, prepared.open);
      const { data, model, plan, schedule } = prepared;
      return {
        trainRows: data.train.length,
        heldRows: data.held.length,
        steps: schedule.totalSteps,
        epochs: schedule.totalSteps / schedule.stepsPerEpoch,
        trainableParameters: countParameters(model).trained,
        memory: plan.memory,
        totalBytes: plan.totalBytes,
        fit: await tryFit(gpu, plan, config),
        notices: data.notices,
      };
    });
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
    const stop = new AbortController();
    this.#stop = stop;
    const tell = (event: RunEvent) => void onEvent(event);
    try {
      return await this.#alone(id, async () => {
        const run = await readRun(id);
        if (run === null) throw runMissing();
        await this.#chat.close();
        await this.#opening;
        const loader = this.#loaderOf(model, {
          signal: stop.signal,
          onNotice: (message) => tell({ type: 'notice', message }),
        });
        const store = await runStore(id);
        const request = { data: await readData(id), settings: run.settings };
        const config = await trainConfigOf(request, loader, { resume: await hasFiles(store) });
        return await runTraining(config, {
          store,
          gpu: await this.#device(),
          signal: stop.signal,
          logger: loggerTo(tell),
        });
      });
    } finally {
      this.#stop = undefined;
    }
  }

  /** Two tabs that train one run would overwrite each other's checkpoints; one that deletes it would take them away. */
  #alone<T>(id: string, work: () => Promise<T>): Promise<T> {
    return navigator.locks.request(`lapidary-run-${id}`, { ifAvailable: true }, (lock) => {
      if (lock !== null) return work();
      throw new Problem({
        name: 'RunInUseError',
        message: 'This run is being trained in another tab.',
        hint: 'Close that tab, or go on there.',
      });
    }) as Promise<T>;
  }

  /** Ends training after the step under way; a checkpoint of it is written. */
  pause(): void {
    this.#stop?.abort();
  }

  listRuns(): Promise<SavedRun[]> {
    return listRuns();
  }

  /** @throws Problem where there is no such run any more. */
  async readRun(id: string): Promise<{ readonly run: SavedRun; readonly records: RunRecords }> {
    const run = await readRun(id);
    if (run === null) throw runMissing();
    return { run, records: await readRecords(id) };
  }

  removeRun(id: string): Promise<void> {
    return this.#alone(id, async () => {
      await this.#chat.close();
      await removeRun(id);
    });
  }

  /** The adapter of a finished run as PEFT has it, with its report and figures, as a zip. */
  async download(id: string): Promise<Blob> {
    const store = await runStore(id);
    const names = [...adapterFiles, 'report.html', 'metrics.jsonl', 'summary.json'];
    return downloadZip(names.map((name) => ({ name, input: store.readChunks(name) }))).blob();
  }

  /** The answer of a model, tuned by a finished run or as it came (`id` null), told piece by piece. */
  answer(
    id: string | null,
    model: ModelChoice,
    { prompt, picture, maxTokens, temperature }: AnswerRequest,
    onText: (text: string) => unknown,
  ): Promise<void> {
    return this.#chat.ask(
      JSON.stringify([id, keyOf(model)]),
      () => this.#load(id, model),
      (opened, signal) =>
        opened.answer(prompt, { maxNewTokens: maxTokens, temperature, images: picture ? [picture] : [], signal }),
      onText,
    );
  }

  async #load(id: string | null, model: ModelChoice): Promise<TextModel> {
    await this.#opening;
    const gpu = await this.#device();
    const loader = this.#loaderOf(model);
    if (id === null) return TextModel.open(loader, { gpu });
    const store = await runStore(id);
    const adapter = await Promise.all(adapterFiles.map(async (name) => bufferSource(name, await store.read(name))));
    return TextModel.open(loader, { gpu, adapter });
  }

  stopAnswer(): Promise<void> {
    return this.#chat.stop();
  }

  /** Ends an answer under way, and gives back the memory of the model that answers. */
  closeChat(): Promise<void> {
    return this.#chat.close();
  }
}

const runMissing = () =>
  new Problem({
    name: 'RunMissingError',
    message: 'This run is no longer in the storage of this browser.',
    hint: 'Start a new one.',
  });

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
