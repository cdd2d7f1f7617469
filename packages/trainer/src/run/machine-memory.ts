/** Memory of the machine, bytes. */
export interface MachineMemory {
  readonly total: number;
  /** What could be had now without swapping. */
  readonly free: number;
}
