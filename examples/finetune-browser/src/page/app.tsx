import { ChatPanel } from './chat-panel.js';
import { DataPanel } from './data-panel.js';
import { Header } from './header.js';
import { ModelPanel } from './model-panel.js';
import { ProblemNote } from './problem-note.js';
import { RunPanel } from './run-panel.js';
import { SavedRuns } from './saved-runs.js';
import { SettingsPanel } from './settings-panel.js';
import { StoragePanel } from './storage-panel.js';
import { device, run } from './state.js';
import { Problem } from '../session/problem.js';

/** The page: first the choices, then the run that they make. */
export function App() {
  return (
    <>
      <Header />
      <main>
        {device.value instanceof Problem && <ProblemNote problem={device.value} />}
        {run.value === null ? (
          <>
            <SavedRuns />
            <ModelPanel />
            <DataPanel />
            <SettingsPanel />
            <StoragePanel />
          </>
        ) : (
          <>
            <RunPanel />
            {run.value.status === 'finished' && <ChatPanel key={run.value.id} />}
          </>
        )}
      </main>
      <footer>
        Made with Lapidary: TypeScript on WebGPU. Model, rows and results stay in this browser; the page sends none of
        them anywhere.
      </footer>
    </>
  );
}
