import { computed, effect, signal } from '@preact/signals';
import { proxy } from 'comlink';
import ordersUrl from '../../../finetune/data/orders.jsonl?url';
import shapesUrl from '../../shapes.jsonl?url';
import { startSession } from '../session/connect.js';
import { modelFilesAmong, saveModel } from '../session/saved-model.js';
import { Problem, problemOf } from '../session/problem.js';
import type {
  DataChoice,
  DeviceReport,
  ModelChoice,
  ModelReport,
  OwnModel,
  PlanReport,
  RunEvent,
  RunRecords,
  SavedModel,
  SavedRun,
  Settings,
} from '../session/protocol.js';

/** The worker. Everything that takes long happens there. */
export const session = startSession((problem) => {
  device.value = problem;
  if (isBusy.value) update({ status: 'failed', phase: null, problem });
});

/** What suits models of a few million parameters; large ones want gentler settings and longer rows. */
const smallSettings: Settings = {
  steps: 60,
  learningRate: 0.01,
  rank: 16,
  batchSize: 8,
  maxLength: 64,
  gradientCheckpointing: false,
  answers: 24,
  seed: 42,
};
/** There is more to tell apart in a picture than in a line of text. */
const smallPictureSettings: Settings = { ...smallSettings, steps: 240, learningRate: 0.005 };
const largeSettings: Settings = {
  steps: 200,
  learningRate: 2e-4,
  rank: 8,
  batchSize: 1,
  maxLength: 256,
  gradientCheckpointing: true,
  answers: 4,
  seed: 42,
};
/** Parameters. */
const fewParameters = 2e7;

/** What a model is trained with unless the user says otherwise; rows no longer than it has room for. */
function settingsFor({ parameters, room, seesPictures }: ModelReport): Settings {
  const small = seesPictures ? smallPictureSettings : smallSettings;
  const chosen = parameters < fewParameters ? small : largeSettings;
  return { ...chosen, maxLength: Math.min(chosen.maxLength, room) };
}

// What was chosen
export const device = signal<DeviceReport | Problem | null>(null);
export const model = signal<ModelChoice>({ kind: 'small' });
/** null: no model is chosen yet. */
export const modelReport = signal<ModelReport | Problem | 'reading' | null>(null);
export type DataKind = Example | 'file' | 'paste';
/** Where the rows come from. */
export const dataKind = signal<DataKind>('orders');
export const data = signal<DataChoice | null>(null);
export const dataProblem = signal<Problem | null>(null);
/** What suits the model. */
const suited = signal<Settings>(smallSettings);
/** What the user said: it stays, whichever model is read meanwhile. */
const said = signal<Partial<Settings>>({});
export const settings = computed<Settings>(() => ({ ...suited.value, ...said.value }));
export const changeSettings = (change: Partial<Settings>) => void (said.value = { ...said.value, ...change });
export const plan = signal<PlanReport | Problem | 'planning' | null>(null);

// The run
export type RunStatus = 'running' | 'stopping' | 'paused' | 'failed' | 'finished';
export interface RunView extends RunRecords {
  readonly id: string;
  readonly status: RunStatus;
  /** What is under way before the first step, and its share that is done where known. */
  readonly phase: { readonly name: string; readonly share: number | null } | null;
  readonly totalSteps: number;
  readonly savedStep: number;
  readonly notices: readonly string[];
  readonly problem: Problem | null;
  readonly savedModel: SavedModel;
  /** null: files from disk, which are to be chosen again. */
  readonly model: ModelChoice | null;
  readonly seesPictures: boolean;
}
export const run = signal<RunView | null>(null);
export const savedRuns = signal<readonly SavedRun[]>([]);
/** Of what was asked of the list of runs. */
export const listProblem = signal<Problem | null>(null);

export const isBusy = computed(() => run.value?.status === 'running' || run.value?.status === 'stopping');
export const canStart = computed(() => {
  const { value } = plan;
  return value !== null && value !== 'planning' && !(value instanceof Problem) && !value.fit.refused;
});

async function orProblem<T>(work: Promise<T>): Promise<T | Problem> {
  try {
    return await work;
  } catch (error) {
    return problemOf(error);
  }
}

/** Asks for the device and the runs that are kept; what the user has not chosen meanwhile is what comes with the page. */
export async function begin(): Promise<void> {
  const found = await orProblem(session.device());
  // A worker that cannot be loaded has said so by now.
  device.value ??= found;
  // What was learned before can be looked at and downloaded without a device.
  await refreshRuns();
  if (device.value instanceof Problem) return;
  await Promise.all([dataRequest === 0 && useExample('orders'), modelRequest === 0 && chooseModel({ kind: 'small' })]);
}

export async function refreshRuns(): Promise<void> {
  savedRuns.value = await session.listRuns().catch(() => []);
}

// Of several choices under way the last one counts.
let dataRequest = 0;
/** Rows, or why they cannot be had. */
export async function chooseData(choice: Promise<DataChoice>): Promise<void> {
  const request = ++dataRequest;
  const chosen = await orProblem(choice);
  if (request !== dataRequest) return;
  dataProblem.value = chosen instanceof Problem ? chosen : null;
  data.value = chosen instanceof Problem ? null : chosen;
}

/** Rows that come with the page. */
const examples = {
  orders: { name: 'orders.jsonl', url: ordersUrl },
  shapes: { name: 'shapes.jsonl', url: shapesUrl },
};
export type Example = keyof typeof examples;
const isExample = (kind: DataKind): kind is Example => kind in examples;

export function useExample(example: Example): Promise<void> {
  dataKind.value = example;
  const { name, url } = examples[example];
  const fetched = fetch(url).then((response) => {
    if (!response.ok) throw new Error(`${name} could not be fetched: the server answers ${response.status}.`);
    return response.blob();
  });
  return chooseData(fetched.then((rows) => ({ name, rows, pictures: [] })));
}

let modelRequest = 0;
export async function chooseModel(choice: ModelChoice): Promise<void> {
  const request = ++modelRequest;
  modelReport.value = 'reading';
  model.value = choice;
  const report = await orProblem(session.inspect(choice));
  if (request !== modelRequest) return;
  if (!(report instanceof Problem)) suited.value = settingsFor(report);
  modelReport.value = report;
}

/** A model that comes with the page, and the example that is made for it: rows of the user's own stay. */
export function chooseOwnModel(kind: OwnModel): void {
  void chooseModel({ kind });
  const example = kind === 'small' ? 'orders' : 'shapes';
  if (isExample(dataKind.value) && dataKind.value !== example) void useExample(example);
}

/** Another kind of rows is to be chosen: what was there is no longer meant. */
export function chooseDataKind(kind: DataKind): void {
  if (isExample(kind)) {
    void useExample(kind);
    return;
  }
  dataKind.value = kind;
  dataRequest++;
  data.value = null;
  dataProblem.value = null;
}

/** Another kind of model is to be chosen: what was there is no longer meant. */
export function forgetModel(): void {
  modelRequest++;
  modelReport.value = null;
}

// The plan follows what is chosen, a moment after the last change.
let planTimer: ReturnType<typeof setTimeout> | undefined;
let planRequest = 0;
effect(() => {
  const request = { model: model.value, data: data.value, settings: settings.value };
  const isKnown = (value: object | string | null) =>
    typeof value === 'object' && value !== null && !(value instanceof Problem);
  const isReady = isKnown(device.value) && isKnown(modelReport.value) && request.data !== null;
  const current = ++planRequest;
  clearTimeout(planTimer);
  plan.value = isReady ? 'planning' : null;
  if (!isReady) return;
  planTimer = setTimeout(async () => {
    const found = await orProblem(session.plan({ ...request, data: request.data! }));
    if (current === planRequest) plan.value = found;
  }, 150);
});

function update(change: Partial<RunView>): void {
  if (run.value !== null) run.value = { ...run.value, ...change };
}

/** A run may do many steps a second: the page draws what came a few times in one. */
const drawEveryMs = 200;
let waiting: RunEvent[] = [];
let drawTimer: ReturnType<typeof setTimeout> | undefined;

function hear(event: RunEvent): void {
  waiting.push(event);
  drawTimer ??= setTimeout(draw, drawEveryMs);
}

function draw(): void {
  clearTimeout(drawTimer);
  drawTimer = undefined;
  const events = waiting;
  waiting = [];
  if (run.value === null || events.length === 0) return;
  let view: RunView = run.value;
  const steps = [...view.steps];
  const evals = [...view.evals];
  const samples = [...view.samples];
  for (const event of events) {
    if (event.type === 'phase') {
      const { name, done, total } = event;
      view = { ...view, phase: { name, share: done !== undefined && total ? done / total : null } };
    } else if (event.type === 'start') view = { ...view, totalSteps: event.start.totalSteps };
    else if (event.type === 'checkpoint') view = { ...view, savedStep: event.step };
    else if (event.type === 'notice') view = { ...view, notices: [...view.notices, event.message] };
    else if (event.type === 'eval') evals.push(event.record);
    else if (event.type === 'sample') samples.push(event.record);
    else {
      steps.push(event.record);
      view = { ...view, phase: null };
    }
  }
  run.value = { ...view, steps, evals, samples };
}

/** The model of a run that is kept, where it is at hand: as it is chosen now, or where anybody can have it. */
function modelOf({ model: saved }: SavedRun): ModelChoice | null {
  if (JSON.stringify(saveModel(model.value)) === JSON.stringify(saved)) return model.value;
  return saved.kind === 'files' ? null : saved;
}

/** The run that goes on, until it ends in whatever way. */
let underWay: Promise<void> = Promise.resolve();

/** Begins a new run with what was chosen. */
export function start(): void {
  underWay = startRun();
}

async function startRun(): Promise<void> {
  const report = modelReport.value;
  if (data.value === null || report === null || report === 'reading' || report instanceof Problem) return;
  const { seesPictures } = report;
  const request = { model: model.value, data: data.value, settings: settings.value, seesPictures };
  run.value = {
    id: '',
    status: 'running',
    phase: { name: 'Writing the run down', share: null },
    totalSteps: request.settings.steps,
    savedStep: 0,
    steps: [],
    evals: [],
    samples: [],
    notices: [],
    problem: null,
    summary: null,
    rowsForm: null,
    savedModel: saveModel(request.model),
    model: request.model,
    seesPictures,
  };
  // So that the browser does not take the run away when the disk runs short of space. Firefox asks its user: training does not wait for it.
  navigator.storage.persist().catch(() => undefined);
  try {
    update({ id: await session.createRun(request) });
  } catch (error) {
    update({ status: 'failed', phase: null, problem: problemOf(error) });
    return;
  }
  if (run.value?.status === 'stopping') {
    update({ status: 'paused', phase: null });
    await refreshRuns();
    return;
  }
  await train();
}

/** Shows a run that is kept, as far as it got. */
export async function open(id: string): Promise<void> {
  const read = await orProblem(session.readRun(id));
  if (read instanceof Problem) {
    listProblem.value = read;
    return;
  }
  show(read);
}

function show({ run: saved, records }: { readonly run: SavedRun; readonly records: RunRecords }): void {
  run.value = {
    ...records,
    id: saved.id,
    status: saved.isFinished ? 'finished' : 'paused',
    phase: null,
    totalSteps: saved.settings.steps,
    savedStep: saved.savedStep,
    notices: [],
    problem: null,
    savedModel: saved.model,
    model: modelOf(saved),
    seesPictures: saved.seesPictures,
  };
}

/** Goes on from the last checkpoint, or from the start where there is none. */
export function resume(): void {
  underWay = resumeRun();
}

async function resumeRun(): Promise<void> {
  const { id, model: chosen } = run.value!;
  const goingOn = { status: 'running', phase: { name: 'Going on', share: null }, problem: null } as const;
  update(goingOn);
  const read = await orProblem(session.readRun(id));
  if (read instanceof Problem) {
    update({ status: 'failed', phase: null, problem: read });
    return;
  }
  const isStopped = run.value?.status === 'stopping';
  show(read);
  if (isStopped) return;
  update({ ...goingOn, model: chosen });
  await train();
}

/** Files for a run on a model from disk, chosen again after the page was loaded anew. */
export function chooseRunFiles(chosen: readonly File[]): void {
  const choice: ModelChoice = { kind: 'files', files: modelFilesAmong(chosen) };
  const { savedModel } = run.value!;
  const isSame = JSON.stringify(saveModel(choice)) === JSON.stringify(savedModel);
  const problem = new Problem({
    name: 'ResumeMismatchError',
    message: 'These are other files, or files of another size.',
    hint: savedModel.kind === 'files' ? `The run was begun with ${savedModel.files.join(', ')}.` : null,
  });
  update(isSame ? { model: choice, problem: null } : { problem });
}

async function train(): Promise<void> {
  const { id, model: choice } = run.value!;
  if (choice === null) return;
  const lock = await navigator.wakeLock?.request('screen').catch(() => undefined);
  try {
    await session.train(id, choice, proxy(hear));
    draw();
    const { records } = await session.readRun(id);
    update({ ...records, status: 'finished', phase: null });
  } catch (error) {
    draw();
    const problem = problemOf(error);
    const isPause = problem.name === 'TrainingInterruptedError';
    update({ status: isPause ? 'paused' : 'failed', phase: null, problem: isPause ? null : problem });
    if (problem.name === 'DeviceLostError') device.value = await orProblem(session.device());
  } finally {
    await lock?.release();
    await refreshRuns();
  }
}

export function pause(): void {
  update({ status: 'stopping' });
  void session.pause();
}

/** Throws a run away, with all that was saved of it; one under way is stopped first. */
export async function discard(id: string): Promise<void> {
  if (run.value?.id === id && isBusy.value) {
    pause();
    // Its files are free once the step under way has ended.
    await underWay;
  }
  const problem = await orProblem(session.removeRun(id));
  if (problem instanceof Problem) listProblem.value = problem;
  if (run.value?.id === id) run.value = null;
  await refreshRuns();
}

/** Back to the choices; the run stays in the list. */
export function leave(): void {
  run.value = null;
  void session.closeChat();
}
