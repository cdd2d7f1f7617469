import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
}

/** Runs testing/child-node.ts, which opens a device and ends as told. */
function run(...args: string[]): Promise<Ended> {
  const script = fileURLToPath(new URL('testing/child-node.ts', import.meta.url));
  // A repository path keeps `tsx` resolvable whatever folder the tests were started in.
  const cwd = fileURLToPath(new URL('../../..', import.meta.url));
  const child = spawn(
    process.execPath,
    ['--expose-gc', '--import', 'tsx', '--conditions=lapidary-source', script, ...args],
    { cwd },
  );
  let output = '';
  child.stdout.on('data', (text) => (output += text));
  child.stderr.on('data', (text) => (output += text));
  return new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, output })));
}

describe('a process with GPU work pending', () => {
  it.each([
    ['natural', 0],
    ['exit', 7],
    ['throw', 1],
    ['sigtermHandled', 9],
  ])('keeps its exit code: %s', async (ending, code) => {
    expect(await run(ending)).toMatchObject({ code, signal: null });
  });

  it('dies of SIGINT as any process does', async () => {
    expect(await run('sigint')).toMatchObject({ code: null, signal: 'SIGINT' });
  });

  it('shows the error it was ended by', async () => {
    expect((await run('throw')).output).toContain('thrown on purpose');
  });
});

describe('garbage collection', () => {
  it.each(['gc', 'gcDropped'])('never takes the Dawn instance below a device: %s', async (ending) => {
    expect(await run(ending)).toMatchObject({ code: 0, output: expect.stringContaining('end of script') });
  });
});

it('destroy() resolves `lost`, and what is used afterwards throws DeviceLostError', async () => {
  const { code, output } = await run('destroyed');
  expect(output).toContain('lost: DeviceLostError destroyed');
  expect(output).toContain('then: DeviceLostError');
  expect(code).toBe(0);
});

it.each(['natural', 'gc', 'destroyed'])('the same holds in a worker thread: %s', async (ending) => {
  expect(await run(ending, 'worker')).toMatchObject({ code: 0, output: expect.stringContaining('worker exit: 0') });
});
