import type { RunLogger } from '../metrics/logger.js';
import { readEvals, readMetrics, readSamples } from '../metrics/metrics-file.js';
import { createRunRecorder } from '../metrics/record-run.js';
import { reportFile } from '../store/file-names.js';
import type { FileStore } from '../store/file-store.js';

/**
 * Writes `report.html` when a run ends. When it fails or is interrupted after its first step, the report of what was done is written,
 * with the reason in its notes. On resume it shows the whole run: put it before the metrics logger, which cuts the file it reads.
 */
export async function createReportLogger(store: FileStore, { resumes = true } = {}): Promise<RunLogger> {
  // Loaded as the run begins: at its end the files of a page may be those of a newer version.
  const { renderReport } = await import('./render-report.js');
  const recorder = createRunRecorder(
    resumes
      ? { steps: await readMetrics(store), evals: await readEvals(store), samples: await readSamples(store) }
      : undefined,
  );
  return {
    ...recorder,
    onEnd: async (summary) => {
      await recorder.onEnd?.(summary);
      await store.write(reportFile, renderReport(recorder.recording));
    },
    onFail: async (error) => {
      if (recorder.recording.steps.length === 0) return;
      recorder.recording.notices.push(error instanceof Error ? error.message : String(error));
      // What went wrong with the run is the error to show, not that its report could not be written too.
      await store.write(reportFile, renderReport(recorder.recording)).catch(() => undefined);
    },
  };
}
