// Measures ourselves and others on the same adapter, by turns. See README.md.
import { unpackSoftwareAdapter } from '@lapidary/gpu/software-node';
import { allCases } from './cases/all-cases.js';
import { caseName } from './cases/case.js';
import { formatMs, formatRate } from './report/table.js';
import { writeReport } from './report/write-report.js';
import { readArguments, usage, UsageError, type Arguments } from './run/arguments.js';
import { ContenderProcess } from './run/contender-process.js';
import { findContenders, peersAreInstalled, reportFolder } from './run/find-contenders.js';
import { ownVersion } from './run/own-version.js';
import { measureCase, type CaseResult } from './run/measure-case.js';
import { disagreeing } from './run/verdict.js';

/** Tells every process that is started from now on which adapter to use. */
async function chooseAdapter(name: string): Promise<void> {
  if (!/^swiftshader$/i.test(name)) {
    process.env.BENCH_ADAPTER = name;
    return;
  }
  const software = await unpackSoftwareAdapter();
  if (software === undefined)
    throw new UsageError('SwiftShader needs Linux on x64 and the npm package @sparticuz/chromium');
  process.env.VK_ICD_FILENAMES = process.env.VK_DRIVER_FILES = software.icd;
}

/** Starts everyone; who does not start is left out, and said so. */
async function startAll({ only }: Arguments): Promise<ContenderProcess[]> {
  const commands = findContenders((name) => only === undefined || only.includes(name));
  const started: ContenderProcess[] = [];
  for (const command of commands) {
    const contender = new ContenderProcess(command);
    try {
      const { version, device } = await contender.start();
      console.log(`${command.name} ${version} on ${device}`);
      started.push(contender);
    } catch (error) {
      contender.stop();
      if (command.name === 'lapidary') throw error;
      console.log(`${command.name} does not run here: ${(error as Error).message}`);
    }
  }
  if (!peersAreInstalled() && only === undefined)
    console.log('jax-js and tfjs are not installed, so they are left out: `npm run bench -- peers` installs them.');
  return started;
}

function printCase(result: CaseResult): void {
  console.log(`\n${caseName(result.case)}`);
  const wrong = disagreeing(result);
  for (const measured of result.measured) {
    const { contender, failure, ms, ratio, cpuRatio, firstMs, difference, note, memory, start } = measured;
    if (failure !== undefined) {
      if (failure !== '–') console.log(`  ${contender.padEnd(10)} failed: ${failure}`);
      continue;
    }
    if (start !== undefined) {
      const { loadingMs, firstStepMs, secondStepMs } = start;
      const phases = { loading: loadingMs, 'first step': firstStepMs, 'second step': secondStepMs };
      const times = Object.entries(phases).map(([name, time]) => `${name} ${formatMs(time)} ms`);
      console.log(
        `  ${contender.padEnd(10)}${times.join('  ')}  first ${(firstStepMs / secondStepMs).toFixed(2)}× second`,
      );
      continue;
    }
    const cells = [
      `${formatMs(ms!)} ms`.padStart(10),
      formatRate(result.case, ms!).padStart(16),
      ratio === undefined ? '' : `${ratio.toFixed(2)}×`.padStart(8),
      cpuRatio === undefined ? '' : `(CPU time ${cpuRatio.toFixed(2)}×)`.padStart(18),
      `first ${formatMs(firstMs!)} ms`.padStart(16),
      difference === undefined
        ? ''
        : `differs by ${difference.toExponential(1)}${wrong.includes(measured) ? ' TOO MUCH' : ''}`,
      note ?? '',
      memory ? `heap ${((memory.after.heap - memory.before.heap) / 1e6).toFixed(1)} MB more` : '',
    ];
    console.log(`  ${contender.padEnd(10)}${cells.join('  ')}`);
  }
}

/** An argument as a shell takes it. */
const quoted = (argument: string) => (/[^\w×=.,/:-]/.test(argument) ? `'${argument}'` : argument);

async function main(args: readonly string[]): Promise<void> {
  const options = readArguments(args);
  if (options.adapter !== undefined) await chooseAdapter(options.adapter);
  if (options.patient) process.env.BENCH_PATIENT = '1';
  const contenders = await startAll(options);
  const [ours] = contenders;
  const { device: adapter, isSoftware } = ours!.hello!;
  const size = options.size ?? (isSoftware ? 'small' : 'full');
  const cases = allCases(size).filter(
    (c) =>
      options.parts.length === 0 ||
      options.parts.some((part) => caseName(c).toLowerCase().includes(part.toLowerCase())),
  );
  if (cases.length === 0)
    throw new UsageError(`no case has such a name; there are:\n${allCases(size).map(caseName).join('\n')}`);
  const results: CaseResult[] = [];
  // A part of the cases does not take the place of all of them.
  const folder = options.out ?? (options.parts.length === 0 && !options.dry ? reportFolder : undefined);
  const about = {
    adapter,
    isSoftware,
    size,
    rounds: options.rounds,
    patient: options.patient,
    command: ['npm run bench', ...(args.length > 0 ? ['--', ...args.map(quoted)] : [])].join(' '),
    contenders: contenders.map((c) => (c === ours ? { ...c.hello!, version: ownVersion() } : c.hello!)),
  };
  for (const benchCase of cases) {
    const result = await measureCase(benchCase, contenders, options.rounds);
    printCase(result);
    results.push(result);
    // After each case, so that a run that is broken off leaves what it has.
    if (folder !== undefined) writeReport(folder, results, about);
  }
  for (const contender of contenders) contender.stop();
}

try {
  await main(process.argv.slice(2));
  process.exit(0);
} catch (error) {
  console.error(error instanceof UsageError ? `${error.message}\n\n${usage}` : error);
  process.exit(error instanceof UsageError ? 2 : 1);
}
