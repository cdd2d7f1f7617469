/**
 * Dawn crashes the process in two ways that a user cannot foresee: when the instance that `create()` returned is collected
 * while a device of it lives, and when the process ends with GPU work pending. So instances are kept as long as the
 * process, and devices that are still open are destroyed when it exits.
 */
interface LiveDevices {
  readonly devices: Set<GPUDevice>;
  readonly instances: Set<GPU>;
}

// On `process`, not in this module: with two copies of the package, or under a test runner's module reloading, there is
// still one exit listener a thread.
const key = Symbol.for('@lapidary/gpu live devices');

function liveDevices(): LiveDevices {
  const holder = process as unknown as Record<symbol, LiveDevices | undefined>;
  let live = holder[key];
  if (live === undefined) {
    const created: LiveDevices = { devices: new Set(), instances: new Set() };
    live = created;
    holder[key] = created;
    // 'exit' is emitted after process.exit(), a natural end and an uncaught error alike, and changes no exit code.
    // Signals are left alone: their default action ends the process without running what crashes.
    process.on('exit', () => {
      for (const device of created.devices) device.destroy();
    });
  }
  return live;
}

/** Keeps a Dawn instance from being collected. */
export function keepInstance(instance: GPU): void {
  liveDevices().instances.add(instance);
}

/** Destroys `device` at exit, unless it is lost or destroyed before. */
export function holdDevice(device: GPUDevice): void {
  const { devices } = liveDevices();
  devices.add(device);
  void device.lost.then(() => devices.delete(device));
}
