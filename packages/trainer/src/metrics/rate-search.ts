import type { AdapterInfo } from './run-records.js';

/** One step of a search for a learning rate. */
export interface RatePoint {
  /** Used for the step's update. */
  readonly rate: number;
  /** Of the step's batches, before its update. */
  readonly loss: number;
  /** Mean of this loss and those before, the newest weighing most. */
  readonly smoothed: number;
}

/** What came of a search for a learning rate. Plain data. */
export interface RateSearch {
  /** The model, as its loader describes it. */
  readonly model: string;
  readonly adapter: AdapterInfo;
  readonly optimizer: string;
  /** Whether it ended early: the loss went away, or was no longer finite. */
  readonly diverged: boolean;
  readonly points: readonly RatePoint[];
  /** Where to begin; null where the loss never fell by more than chance. */
  readonly suggested: number | null;
}
