import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ContextLengthError, EmbeddingModelError, modelPresets } from '@lapidary/gemma';
import { openGpu, type Gpu } from '@lapidary/gpu';
import { byteLength } from '@lapidary/kernels';
import {
  countParameters,
  createMemoryStore,
  exportAdapter,
  exportCheckpoint,
  exportTrl,
  findLearningRate,
  finiteSink,
  hubDataset,
  hubDatasetOf,
  inspectData,
  mayBeHubDataset,
  listCheckpoints,
  planRelease,
  prepareRun,
  profileTraining,
  readRunFile,
  runTraining,
  tryFit,
  tuneTraining,
  type DataSource,
  type PlannedRun,
  ResumeMismatchError,
} from '@lapidary/trainer';
import { createNodeFileStore } from '@lapidary/trainer/node';
import {
  bufferSource,
  modelWeightLoader,
  peftAdapterLoader,
  withoutSecrets,
  type AdapterLoader,
  type ByteSource,
  type HubOptions,
  type OpenedWeights,
  type WeightLoader,
} from '@lapidary/weights';
import { fileSource } from '@lapidary/weights/node';
import type { AnswerOptions, AnswerSession } from './answer-session.js';
import type { AnswerSettings, Engine, ExportRequest, ExportResult, GenerateRequest, TrainingPlan } from './engine.js';
import { embedderOf, embedTexts, textsOfRows } from './embed-texts.js';
import { evaluateModel } from './evaluate/evaluate-model.js';
import { answerMany } from './generate/answer-many.js';
import { readPrompts, type Prompt } from './generate/read-prompts.js';
import { cardFacts } from './hub/card-facts-node.js';
import { checkExported, findExported } from './hub/exported-files-node.js';
import { openHubRepository } from './hub/open-hub-target.js';
import { hubEndpoint } from './hub-endpoint-node.js';
import { hubToken } from './hub-token-node.js';
import { measureDevice } from './measure-device.js';
import { TextModel, type TextModelOptions } from './text-model.js';
import { UsageError } from './usage-error.js';

/** What the commands run on in Node. */
export const engine: Engine = {
  openModel: async (model) => loaderOf(model),
  openAdapter: adapterOf,
  openData,
  runTraining,
  planTraining: (config) =>
    withAdapter(async (gpu) => {
      const told: string[] = [];
      const logger = { onNotice: (notice: string) => void told.push(notice) };
      const prepared = await prepareRun(config, gpu, { tuning: { mode: 'never' }, refuse: false, logger });
      await prepared.close();
      const notices = told.filter((notice) => !prepared.budgetNotices.includes(notice));
      return { ...(await describePlan(prepared, prepared.schedule.totalSteps, gpu)), notices };
    }),
  planRelease: (name, config) =>
    withAdapter((gpu) => {
      const planned = planRelease(modelPresets[name], config, gpu ? { profile: gpu.profile } : {});
      return describePlan(planned, config.steps, gpu);
    }),
  inspectData,
  profileTraining,
  tuneTraining,
  findLearningRate,
  export: exportTo,
  findExported: async (place) => {
    const exported = await findExported(place);
    await checkExported(exported);
    return exported;
  },
  openHubTarget: async (request, { signal }) => {
    const access = { endpoint: hubEndpoint(), token: hubToken(), signal };
    const { url, push } = await openHubRepository(request, access);
    return {
      url,
      push: async (exported, options) => {
        const kind = await checkExported(exported);
        const facts = await cardFacts(exported, kind, request.repository.split('/').at(-1)!);
        const files = new Map(exported.files.map((name) => [name, pathToFileURL(join(exported.folder, name))]));
        return push({ files, facts, title: `Upload ${exported.files.length} files with Lapidary` }, options);
      },
    };
  },
  inspectModel: async (model) => {
    const weights = await loaderOf(model).open();
    try {
      // What is elsewhere is not fetched to be looked at: its headers say what there is, not what it holds.
      const isHere = existsSync(model);
      const problem = await findProblem(weights, isHere);
      const tensors = [...weights.entries].map(([name, { dtype, shape }]) => {
        const size = shape.reduce((a, b) => a * b, 1);
        return { name, dtype, shape, size, bytes: byteLength(dtype, size) };
      });
      return {
        source: withoutSecrets(model),
        format: weights.format,
        family: weights.config.family,
        parameters: tensors.reduce((n, { size }) => n + size, 0),
        bytes: tensors.reduce((n, { bytes }) => n + bytes, 0),
        config: weights.model.settings,
        notices: [
          ...weights.notices,
          ...(weights.hostRows === undefined
            ? []
            : [
                `${weights.hostRows.path} stays in its file, where the rows of each step are read: its values were not looked at.`,
              ]),
          ...(isHere
            ? []
            : ['only headers were read, not the values: whether all are finite shows when they are loaded.']),
        ],
        problem,
        tensors: tensors.map(({ size: _, ...tensor }) => tensor),
      };
    } finally {
      await weights.close();
    }
  },
  readPrompts: readPromptsOf,
  generate,
  embed: async ({ model: from, adapter, anyBase, quantize, texts: given, ...options }, { onNotice, signal }) => {
    const texts = 'data' in given ? await textsIn(given) : given;
    const adapters = adapter === null ? {} : { adapter };
    const model = await TextModel.open(loaderOf(from), { ...adapters, anyBase, quantize, onNotice, signal });
    try {
      return await embedTexts(model, texts, options, signal);
    } finally {
      model.destroy();
    }
  },
  openChat: async ({ model: from, adapters, anyBase, quantize }, options) => {
    const model = await openAnswering(from, { adapters, anyBase, quantize, ...options });
    if (model.chatTemplateFrom === 'family')
      options.onNotice('The model came without a chat template: the turns of its family are used.');
    const conversation = model.openConversation();
    return {
      adapters: model.adapters,
      remembers: model.chatTemplateFrom !== null,
      seesPictures: model.model.vision !== undefined,
      readImage: (path) => readImage(path, '/image'),
      answer: (messages, { adapter, images, tools, chatTemplateKwargs, signal, ...settings }) =>
        conversation.answer(messages, {
          ...answerOptionsOf(settings),
          adapter,
          images,
          tools,
          chatTemplateKwargs,
          signal,
        }),
      close: async () => {
        await conversation.destroy();
        model.destroy();
      },
    };
  },
  measureDevice: (models, signal) => measureDevice(models, { signal }),
  diagnose: async (signal) => (await import('./diagnose-node.js')).diagnose({ signal }),
  openAnswerer: async ({ model: from, adapters, anyBase, quantize, rows, maxLength }, options) => {
    const model = await TextModel.open(loaderOf(from), { adapters, anyBase, quantize, ...options });
    if (model.model.embedding !== undefined) return embedderOf(model, { batchSize: rows, maxLength });
    if (model.chatTemplateFrom === 'family')
      options.onNotice('The model came without a chat template: the turns of its family are used.');
    const { maxPositionEmbeddings: context } = model.model;
    const size = { rows, maxLength: Math.min(maxLength, context), reusesPrefix: true };
    const sessions = new Map<string | null, AnswerSession>();
    const sessionOf = (adapter: string | null) => {
      const session = sessions.get(adapter) ?? model.openSession({ adapter, ...size });
      sessions.set(adapter, session);
      return session;
    };
    return {
      adapters: model.adapters,
      maxLength: size.maxLength,
      ask: async (question, { adapter, ...beside }) => {
        const session = sessionOf(adapter);
        const { prompt, promptTokens, ...ends } = await session.encode(question, beside);
        if (promptTokens >= size.maxLength)
          throw new ContextLengthError(
            `the prompt has ${promptTokens} tokens, which leaves no room for an answer in ${size.maxLength}; ${
              size.maxLength < context
                ? `shorten it, or serve with a larger --context: the model itself has room for ${context}`
                : 'shorten it: that is all that the model has room for'
            }`,
          );
        return {
          promptTokens,
          answer: ({ signal, ...settings }) =>
            session.answerPrompt(prompt, { ...answerOptionsOf(settings), ...ends, signal }),
        };
      },
      close: async () => {
        for (const session of sessions.values()) await session.destroy();
        model.destroy();
      },
    };
  },
  evaluateModel: async ({ model: from, adapters, anyBase, quantize, data, ...options }, { onNotice, ...others }) => {
    const loader = loaderOf(from);
    const model = await TextModel.open(loader, { adapters, anyBase, quantize, onNotice, signal: others.signal });
    try {
      const named = { model: loader.description, data: withoutSecrets(data.source) };
      const source = await engine.openData(data.source);
      return await evaluateModel(model, { ...data, source, named }, { ...options, ...others });
    } finally {
      model.destroy();
    }
  },
};

/** A model that is to answer. @throws EmbeddingModelError for one that makes vectors alone */
async function openAnswering(from: string, options: TextModelOptions): Promise<TextModel> {
  const model = await TextModel.open(loaderOf(from), options);
  if (model.model.embedding === undefined) return model;
  model.destroy();
  throw new EmbeddingModelError(model.model.name);
}

async function textsIn({ data, key }: { readonly data: string; readonly key: string }): Promise<string[]> {
  const source = await fileSource(data);
  try {
    return await textsOfRows(source, key);
  } finally {
    await source.close?.();
  }
}

async function exportTo({ run, step, out, model, anyBase, form }: ExportRequest): Promise<ExportResult> {
  const store = createNodeFileStore(out);
  if (step === null && (await isAdapterOnly(run))) {
    if (form.to === 'result' || form.to === 'trl')
      throw new UsageError({
        message: form.to === 'trl' ? `${run} holds an adapter, and no run.` : `${run} holds an adapter as it is.`,
        hint: 'Name another form with --to: merged, gguf, gguf-lora.',
      });
    if (model === null)
      throw new UsageError({
        message: `${run} holds an adapter, and no run that says what its base is.`,
        hint: 'Name the base with --model.',
      });
    return { step: null, ...(await exportAdapter({ adapter: run, base: loaderOf(model), out: store, form, anyBase })) };
  }
  if (anyBase)
    throw new UsageError({
      message: `--any-base is for an adapter alone, but ${run} holds a run, which goes over the base that it began with.`,
      hint: 'Leave it out, or export a copy of its adapter_config.json and adapter_model.safetensors.',
    });
  const from = { run: createNodeFileStore(run), out: store, step: step ?? undefined, ...openedBy(run, model) };
  try {
    return await (form.to === 'trl' ? exportTrl({ ...from, openRows: openData }) : exportCheckpoint({ ...from, form }));
  } catch (error) {
    if (!(error instanceof ResumeMismatchError)) throw error;
    const changed = error.changes.map(({ path }) => path).join(', ');
    throw new UsageError({
      message: `The run in ${run} was made of something else than it is given now: ${changed}.`,
      hint: 'Name the model that it was trained over with --model.',
    });
  }
}

/** How a run's base, and the adapter that it went on from, are opened by what its file says of them. @throws UsageError where it says nothing */
function openedBy(run: string, model: string | null) {
  const unknown = (message: string, hint: string) => new UsageError({ message, hint });
  return {
    openBase: (named: string | undefined) => {
      const base = model ?? named;
      if (base !== undefined) return loaderOf(base);
      throw unknown(`What the run in ${run} was trained on is not known.`, 'Name it with --model.');
    },
    openAdapter: (named: string | undefined) => {
      if (named !== undefined) return adapterOf(named);
      const hint = 'It was handed over in code: export the run there.';
      throw unknown(`What adapter the run in ${run} went on from is not known.`, hint);
    },
  };
}

/** Rows by what `--data`, or a run's file, names. */
async function openData(source: string): Promise<DataSource> {
  const id = hubDatasetOf(source) ?? (mayBeHubDataset(source) && !existsSync(source) ? source : undefined);
  if (id === undefined) return source;
  const token = hubToken();
  return hubDataset(id, token === undefined ? {} : { token });
}

/** Whether a folder has an adapter and no checkpoints, whatever else of the run that it came from. */
async function isAdapterOnly(folder: string): Promise<boolean> {
  if (!existsSync(join(folder, 'adapter_config.json'))) return false;
  return (await listCheckpoints(createNodeFileStore(folder))).length === 0;
}

/** What a load of a model ends with: WeightNamesError for parameters that are not there, WeightFileError for values that are not finite. */
async function findProblem({ model, entries, load }: OpenedWeights, readsValues: boolean): Promise<Error | null> {
  const dtypeOf = (path: string) => entries.get(path)?.dtype ?? 'f32';
  const targets = new Map(model.params.map(({ path, shape }) => [path, { shape, dtype: dtypeOf(path) }]));
  // Names, shapes and types are checked before the first byte: an aborted load reads none.
  const aborted = AbortSignal.abort();
  const options = readsValues ? {} : { signal: aborted };
  try {
    await load(targets, finiteSink(entries, dtypeOf, { write: () => undefined }), options);
    return null;
  } catch (error) {
    if (error === aborted.reason) return null;
    return error instanceof Error ? error : new Error(String(error));
  }
}

async function describePlan(planned: PlannedRun, totalSteps: number | null, gpu: Gpu | null): Promise<TrainingPlan> {
  const { config, model, plan, budgetNotices } = planned;
  const { all, trained } = countParameters(model);
  return {
    parameters: all,
    trainableParameters: trained,
    totalSteps,
    tokensPerStep: config.batchSize * config.maxLength * config.gradientAccumulation,
    memory: plan.memory,
    onHost: model.host && { path: model.host.spec.path, bytes: model.host.bytes },
    budgetNotices,
    notices: [],
    fit: gpu && (await tryFit(gpu, plan, config)),
  };
}

/**
 * Opens what `--model` names, with the user's token for the hub. A local model is known by its whole path, so that a run
 * can be resumed whichever way the path is written.
 */
export function loaderOf(
  model: string,
  options: Pick<HubOptions, 'endpoint'> = {},
): WeightLoader & { readonly description: string } {
  const token = hubToken();
  return {
    ...modelWeightLoader({ from: model, ...options, ...(token !== undefined && { token }) }),
    description: withoutSecrets(existsSync(model) ? resolve(model) : model),
  };
}

/** Opens what `--adapter` names, in the same way. */
function adapterOf(adapter: string): AdapterLoader {
  const token = hubToken();
  return {
    ...peftAdapterLoader({ from: adapter, ...(token !== undefined && { token }) }),
    description: withoutSecrets(existsSync(adapter) ? resolve(adapter) : adapter),
  };
}

/** Plans for the device that a run would use; null where there is none. */
async function withAdapter<T>(plan: (gpu: Gpu | null) => Promise<T>): Promise<T> {
  const gpu = await openGpu().catch(() => null);
  try {
    return await plan(gpu);
  } finally {
    gpu?.destroy();
  }
}

/** Bytes of one picture's file: above any that has as many pixels as are read. */
const largestImage = 512 * 2 ** 20;

/** @throws UsageError for what cannot be read, or need not end: a pipe, a device */
const readImage = (path: string, askedBy: '--image' | '/image'): Promise<Uint8Array> =>
  withImage(path, askedBy, (source) => source.read(0, source.size));

/** @throws UsageError as `readImage` */
const checkImage = (path: string): Promise<void> => withImage(path, '--image', async () => undefined);

async function withImage<T>(
  path: string,
  askedBy: '--image' | '/image',
  use: (source: ByteSource) => Promise<T>,
): Promise<T> {
  let source: ByteSource | undefined;
  try {
    source = await fileSource(path);
    if (source.size > largestImage)
      throw new Error(`${path}: has ${source.size} bytes, at most ${largestImage} are read.`);
    return await use(source);
  } catch (error) {
    const { message, cause } = error as Error;
    const isMissing = (cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
    throw new UsageError({
      message: isMissing ? `${path} cannot be read: there is no such file.` : message,
      hint: `${askedBy} takes a PNG, JPEG or WebP.`,
    });
  } finally {
    await source?.close?.();
  }
}

/** @throws UsageError for a file that cannot be read */
async function readPromptsOf(file: string): Promise<Prompt[]> {
  let source: ByteSource;
  try {
    source = await fileSource(file);
  } catch (error) {
    throw new UsageError({ message: (error as Error).message, hint: '--prompts names a file of prompts.' });
  }
  try {
    const prompts = await readPrompts(source);
    const besides = (image: Prompt['images'][number]) =>
      typeof image === 'string' ? resolve(dirname(file), image) : image;
    return prompts.map(({ prompt, images }) => ({ prompt, images: images.map(besides) }));
  } finally {
    await source.close?.();
  }
}

/** The adapter of a run's best checkpoint, in memory. @throws UsageError for a run without a LoRA */
async function bestAdapter(folder: string, model: string, onNotice: (notice: string) => void): Promise<ByteSource[]> {
  const run = createNodeFileStore(folder);
  if ((await readRunFile(run))?.config['lora'] === null)
    throw new UsageError({
      message: `The run in ${folder} trained the model itself: its best checkpoint is no adapter.`,
      hint: `lapidary export ${folder} --best --out <folder> makes a model of it, for --model.`,
    });
  const out = createMemoryStore();
  const { step, files } = await exportCheckpoint({ run, out, step: 'best', openBase: () => loaderOf(model) });
  onNotice(`The adapter is that of step ${step}.`);
  return Promise.all(files.map(async (name) => bufferSource(name, await out.read(name))));
}

/** What was asked for, as `TextModel.answer` takes it. */
function answerOptionsOf(settings: AnswerSettings): AnswerOptions {
  const { maxTokens, temperature, topK, topP, minP, repetitionPenalty, stop, seed } = settings;
  return { maxNewTokens: maxTokens, temperature, topK, topP, minP, repetitionPenalty, stop, seed };
}

async function generate(
  request: GenerateRequest,
  { onText, onAnswer, onNotice, signal }: Parameters<Engine['generate']>[1],
): ReturnType<Engine['generate']> {
  const images = new Set(request.prompts.flatMap((each) => each.images));
  for (const image of images) if (typeof image === 'string') await checkImage(image);
  const model = await TextModel.open(loaderOf(request.model), {
    signal,
    onNotice,
    anyBase: request.anyBase,
    quantize: request.quantize,
    ...(request.adapter !== null && {
      adapter: request.best ? await bestAdapter(request.adapter, request.model, onNotice) : request.adapter,
    }),
  });
  try {
    const { chatTemplateFrom } = model;
    // What takes no chat is asked in one way, whatever it is called.
    const isChat = request.chat ?? (chatTemplateFrom === 'model' || !model.model.prompt.takesChat);
    if (chatTemplateFrom === 'family' && request.chat !== false)
      onNotice(
        isChat
          ? 'The model came without a chat template: the prompt is put into the turns of its family.'
          : 'The model came without a chat template: the prompt is continued as it stands (--chat puts it into the turns of its family).',
      );
    const questions = request.prompts.map(({ prompt, images }) => ({
      question: isChat && typeof prompt === 'string' ? [{ role: 'user' as const, content: prompt }] : prompt,
      images: images.length,
      readImages: () =>
        Promise.all(images.map((image) => (typeof image === 'string' ? readImage(image, '--image') : image))),
    }));
    const { samples, rows, tools, chatTemplateKwargs } = request;
    return await answerMany(model, questions, {
      ...answerOptionsOf(request),
      samples,
      rows,
      tools,
      chatTemplateKwargs,
      signal,
      onText,
      onAnswer,
    });
  } finally {
    model.destroy();
  }
}
