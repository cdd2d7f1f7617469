/** Dawn's Node binding, as `require('…/dawn.node')` or `import 'webgpu'` gives it. */
export interface DawnModule {
  /** Makes an instance from flags such as `adapter=…` or `enable-dawn-features=…`. */
  create(flags: string[]): GPU;
  readonly globals: Readonly<Record<string, unknown>>;
}

/** How to choose and open a device. Everything is optional: `openGpu()` takes the fastest adapter it finds. */
export interface OpenGpuOptions {
  /** Only an adapter that runs on the CPU (lavapipe, SwiftShader, WARP). */
  readonly forceSoftware?: boolean;
  /** Only an adapter whose name contains this text (in Node; in browsers it is looked for in what the adapter says of itself). */
  readonly adapter?: string;
  /** Which adapter is preferred when there are several. Default `high-performance`. */
  readonly powerPreference?: GPUPowerPreference;
  /** Features to insist on, beside those that are always asked for when the adapter has them. */
  readonly requiredFeatures?: readonly string[];
  /** Node only: Dawn itself, or the path of a `dawn.node` file. Default: `$DAWN_NODE`, then the npm package `webgpu`. */
  readonly dawn?: string | DawnModule;
  /** Node only: Dawn toggles to enable beside the default ones; a leading `-` disables one. */
  readonly toggles?: readonly string[];
}

/** An adapter, with what only the platform below it knows. */
export interface AcquiredAdapter {
  readonly adapter: GPUAdapter;
  /** The native API below WebGPU where known, else `webgpu`. */
  readonly backend: string;
  /** Takes care of a device opened on this adapter until it is lost. */
  hold(device: GPUDevice): void;
}

/** What differs between Node and browsers. */
export interface Platform {
  /** @throws WebGpuUnavailableError, NoAdapterError */
  acquireAdapter(options: OpenGpuOptions): Promise<AcquiredAdapter>;
  /** Threads that run at the same time. */
  processors(): number;
  /**
   * What a promise of a device's comes to, or throws: soon after, with as little of the CPU as the platform allows.
   * @param queue where it waits for work that was submitted.
   */
  wait<T>(pending: Promise<T>, queue?: GPUQueue): Promise<T>;
}
