import { computed, effect, signal } from '@preact/signals';
import { proxy } from 'comlink';
import type { EvalRecord, SampleRecord, StepRecord, TrainingSummary } from '@lapidary/trainer';
import ordersUrl from '../../../finetune/data/orders.jsonl?url';
import { startSession } from '../session/connect.js';
import { Problem, problemOf } from '../session/problem.js';
import type {
  DataChoice,
  DeviceReport,
  ModelChoice,
  ModelReport,
  PlanReport,
  RunEvent,
  SavedRun,
  Settings,
} from '../session/protocol.js';

/** The worker. Everything that takes long happens there. */
export const session = startSession();

/** What suits the small model; large ones want gentler settings and longer rows. */
const smallSettings: Settings = {
  steps: 60,
  learningRate: 0.01,
  rank: 16,
  batchSize: 8,
  maxLength: 64,
  gradientCheckpointing: false,
  seed: 42,
};
const largeSettings: Settings = {
  steps: 200,
  learningRate: 2e-4,
  rank: 8,
  batchSize: 1,
  maxLength: 256,
  gradientCheckpointing: true,
  seed: 42,
};

// What was chosen
export const device = signal<DeviceReport | Problem | null>(null);
export const model = signal<ModelChoice>({ kind: 'small' });
export const modelReport = signal<ModelReport | Problem | null>(null);
export const data = signal<DataChoice | null>(null);
export const dataProblem = signal<Problem | null>(null);
export const settings = signal<Settings>(smallSettings);
export const plan = signal<PlanReport | Problem | null>(null);

// The run
export type RunStatus = 'none' | 'running' | 'stopping' | 'paused' | 'failed' | 'finished';
export interface RunView {
  readonly id: string;
  readonly status: RunStatus;
  /** What is under way before the first step, and its share that is done where known. */
  readonly phase: { readonly name: string; readonly share: number | null } | null;
  readonly totalSteps: number;
  readonly savedStep: number;
  readonly steps: readonly StepRecord[];
  readonly evals: readonly EvalRecord[];
  readonly samples: readonly SampleRecord[];
  readonly notices: readonly string[];
  readonly problem: Problem | null;
  readonly summary: TrainingSummary | null;
  /** How the rows were written: what a prompt must look like. */
  readonly isChat: boolean;
}
export const run = signal<RunView | null>(null);
export const savedRuns = signal<readonly SavedRun[]>([]);

export const isBusy = computed(() => run.value?.status === 'running' || run.value?.status === 'stopping');
export const canStart = computed(() => {
  const { value } = plan;
  return !isBusy.value && value !== null && !(value instanceof Problem) && !value.fit.refused;
});

async function orProblem<T>(work: Promise<T>): Promise<T | Problem> {
  try {
    return await work;
  } catch (error) {
    return problemOf(error);
  }
}

/** Asks for the device, the rows that come with the page, and the runs that are kept. */
export async function begin(): Promise<void> {
  device.value = await orProblem(session.device());
  await Promise.all([useExampleRows(), refreshRuns()]);
  void chooseModel({ kind: 'small' });
}

export async function refreshRuns(): Promise<void> {
  savedRuns.value = await session.listRuns().catch(() => []);
}

export async function useExampleRows(): Promise<void> {
  const jsonl = await (await fetch(ordersUrl)).text();
  chooseData({ name: 'orders.jsonl', jsonl, pictures: [] });
}

export function chooseData(chosen: DataChoice | Problem): void {
  dataProblem.value = chosen instanceof Problem ? chosen : null;
  data.value = chosen instanceof Problem ? null : chosen;
}

let modelRequest = 0;
export async function chooseModel(choice: ModelChoice): Promise<void> {
  const request = ++modelRequest;
  const wasSmall = model.value.kind === 'small';
  modelReport.value = null;
  model.value = choice;
  if (wasSmall !== (choice.kind === 'small')) settings.value = choice.kind === 'small' ? smallSettings : largeSettings;
  const report = await orProblem(session.inspect(choice));
  if (request === modelRequest) modelReport.value = report;
}

// The plan follows what is chosen, a moment after the last change.
let planTimer: ReturnType<typeof setTimeout> | undefined;
let planRequest = 0;
effect(() => {
  const request = { model: model.value, data: data.value, settings: settings.value };
  const isReady = modelReport.value !== null && !(modelReport.value instanceof Problem) && request.data !== null;
  const current = ++planRequest;
  clearTimeout(planTimer);
  plan.value = null;
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

const isChatForm = (jsonl: string) => /^\s*\{\s*"messages"/.test(jsonl);

/** Begins a new run with what was chosen. */
export async function start(): Promise<void> {
  if (data.value === null) return;
  const request = { model: model.value, data: data.value, settings: settings.value };
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
    isChat: isChatForm(request.data.jsonl),
  };
  // So that the browser does not take the run away when the disk runs short of space.
  await navigator.storage.persist().catch(() => false);
  try {
    update({ id: await session.createRun(request) });
  } catch (error) {
    update({ status: 'failed', phase: null, problem: problemOf(error) });
    return;
  }
  await train(request.model);
}

/** Shows a run that is kept, as far as it got. */
export function open(saved: SavedRun): void {
  run.value = {
    id: saved.id,
    status: saved.isFinished ? 'finished' : 'paused',
    phase: null,
    totalSteps: saved.settings.steps,
    savedStep: saved.savedStep,
    steps: saved.steps,
    evals: saved.evals,
    samples: saved.samples,
    notices: [],
    problem: null,
    summary: saved.summary,
    isChat: saved.rowsForm === 'messages',
  };
}

/** Goes on from the last checkpoint, or from the start where there is none. */
export async function resume(choice: ModelChoice): Promise<void> {
  const saved = run.value && (await orProblem(session.readRun(run.value.id)));
  if (saved instanceof Problem || saved === null) {
    update({ problem: saved ?? null });
    return;
  }
  open(saved);
  update({ status: 'running', phase: { name: 'Going on', share: null } });
  await train(choice);
}

async function train(choice: ModelChoice): Promise<void> {
  const id = run.value!.id;
  model.value = choice;
  const lock = await navigator.wakeLock?.request('screen').catch(() => undefined);
  try {
    const summary = await session.train(id, choice, proxy(hear));
    draw();
    update({ status: 'finished', phase: null, summary });
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

/** Throws a run away, with all that was saved of it. */
export async function discard(id: string): Promise<void> {
  await session.removeRun(id);
  if (run.value?.id === id) run.value = null;
  await refreshRuns();
}

/** Back to the choices; the run stays in the list. */
export function leave(): void {
  run.value = null;
}
