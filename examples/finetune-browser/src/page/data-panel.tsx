import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { Choices } from './choices.js';
import { ProblemNote } from './problem-note.js';
import type { PreviewedRow } from './preview-rows.js';
import { Thumbnail } from './thumbnail.js';
import { chooseData, chooseDataKind, data, dataKind, dataProblem, type DataKind } from './state.js';

const kinds: readonly [DataKind, string][] = [
  ['orders', 'Example: orders → lists'],
  ['shapes', 'Example: pictures → captions'],
  ['file', 'File on disk'],
  ['paste', 'Paste'],
];
const shown = 3;

export function DataPanel() {
  return (
    <section class="card" aria-labelledby="data-title">
      <h2 id="data-title">2. Examples to learn from</h2>
      <Choices
        name="data-kind"
        label="Where the rows come from"
        options={kinds}
        value={dataKind.value}
        onChoose={chooseDataKind}
      />
      {dataKind.value === 'file' && (
        <label class="file">
          JSONL, JSON, CSV, TSV, Parquet or Arrow. Each row has <code>prompt</code> and <code>completion</code>, the
          answer to learn; or <code>messages</code>, a conversation; or only <code>text</code>. For a model that sees
          pictures it names one in <code>image</code>: choose the pictures together with the rows
          <input
            type="file"
            multiple
            accept=".jsonl,.ndjson,.json,.csv,.tsv,.parquet,.arrow,.feather,.txt,image/png,image/jpeg,image/webp"
            onChange={({ currentTarget }) => void readFiles([...(currentTarget.files ?? [])])}
          />
        </label>
      )}
      {dataKind.value === 'paste' && (
        <label>
          One row a line, as JSON; or a table as CSV, its names in the first line
          <textarea
            rows={6}
            spellcheck={false}
            placeholder={'{"prompt": "The capital of France is", "completion": " Paris."}'}
            onInput={({ currentTarget }) => void chooseRows(new Blob([currentTarget.value]), 'pasted rows')}
          />
        </label>
      )}
      {dataProblem.value && <ProblemNote problem={dataProblem.value} />}
      <Preview />
    </section>
  );
}

async function readFiles(files: readonly File[]): Promise<void> {
  const pictures = files.filter(({ type }) => type.startsWith('image/'));
  const rows = files.find((file) => !pictures.includes(file));
  if (rows !== undefined) await chooseRows(rows, rows.name, pictures);
  // Pictures chosen after their rows belong to these.
  else if (data.value !== null && pictures.length > 0)
    await chooseData(Promise.resolve({ ...data.value, pictures: [...data.value.pictures, ...pictures] }));
}

const chooseRows = (file: Blob, name: string, pictures: readonly File[] = []) =>
  chooseData(Promise.resolve({ name, rows: file, pictures }));

function Preview() {
  const rows = useSignal<readonly PreviewedRow[]>([]);
  const chosen = data.value;
  useEffect(() => {
    if (chosen === null) rows.value = [];
    // What reads rows is no part of the page's start.
    else
      void import('./preview-rows.js')
        .then(({ previewRows }) => previewRows(chosen, shown))
        .then((found) => (rows.value = found));
  }, [chosen]);
  if (chosen === null || rows.value.length === 0) return null;
  return (
    <table class="preview">
      <caption>The first rows of {chosen.name}</caption>
      <thead>
        <tr>
          <th scope="col">Prompt</th>
          <th scope="col">Answer to learn</th>
        </tr>
      </thead>
      <tbody>
        {rows.value.map(({ given, pictures, answer }, i) => (
          <tr key={i}>
            <td class="text">
              {pictures.map((picture, k) => (
                <Thumbnail key={k} picture={picture} />
              ))}
              {given}
            </td>
            <td class="text">{answer.trim()}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
