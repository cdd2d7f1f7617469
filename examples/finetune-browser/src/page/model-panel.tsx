import { formatBytes } from '@lapidary/trainer';
import { useSignal } from '@preact/signals';
import { Problem } from '../session/problem.js';
import type { OwnModel } from '../session/protocol.js';
import { modelFilesAmong } from '../session/saved-model.js';
import { Choices } from './choices.js';
import { ProblemNote } from './problem-note.js';
import { RealModel } from './real-model.js';
import { chooseModel, chooseOwnModel, forgetModel, model, modelReport } from './state.js';

type Kind = OwnModel | 'folder' | 'file' | 'address';
const kinds: readonly [Kind, string][] = [
  ['small', 'Small model of text'],
  ['small-pictures', 'Small model that sees pictures'],
  ['folder', 'Folder on disk'],
  ['file', 'File on disk'],
  ['address', 'Hugging Face or URL'],
];

export function ModelPanel() {
  const kind = useSignal<Kind>(model.value.kind === 'files' ? 'folder' : model.value.kind);
  const address = useSignal(model.value.kind === 'address' ? model.value.address : '');
  const token = useSignal('');
  const choose = (next: Kind) => {
    kind.value = next;
    if (next === 'small' || next === 'small-pictures') chooseOwnModel(next);
    else forgetModel();
  };
  const openAddress = () => {
    const typed = address.value.trim();
    if (typed === '') return;
    void chooseModel({ kind: 'address', address: typed, ...(token.value !== '' && { token: token.value.trim() }) });
  };
  return (
    <section class="card" aria-labelledby="model-title">
      <h2 id="model-title">1. Model</h2>
      <Choices
        name="model-kind"
        label="Where the model comes from"
        options={kinds}
        value={kind.value}
        onChoose={choose}
      />
      {kind.value === 'folder' && (
        <FileChoice
          label="A model as Hugging Face publishes it: a folder with config.json, tokenizer.json and .safetensors files"
          isFolder
        />
      )}
      {kind.value === 'file' && (
        <FileChoice
          label="A .gguf file, or several files that belong together"
          accept=".gguf,.safetensors,.npz,.json,.model"
        />
      )}
      {kind.value === 'address' && (
        <RealModel
          onChoose={(chosen) => {
            address.value = chosen;
            openAddress();
          }}
        />
      )}
      {kind.value === 'address' && (
        <form
          class="row"
          onSubmit={(event) => {
            event.preventDefault();
            openAddress();
          }}
        >
          <label class="grow">
            Name on Hugging Face, or URL
            <input
              type="text"
              value={address.value}
              placeholder="google/gemma-3-270m"
              autocomplete="off"
              spellcheck={false}
              onInput={(event) => (address.value = event.currentTarget.value)}
            />
          </label>
          <label class="grow">
            Access token, if it asks for one
            <input
              type="password"
              value={token.value}
              autocomplete="off"
              onInput={(event) => (token.value = event.currentTarget.value)}
            />
          </label>
          <button type="submit">Open</button>
          <p class="quiet wide">
            This asks that address for the model and sends it nothing else; huggingface.co was asked whether it can be
            reached. What arrives is kept in this browser, so that it is fetched once. The token is not kept.
          </p>
        </form>
      )}
      <ModelFacts />
    </section>
  );
}

function FileChoice({ label, accept, isFolder }: { label: string; accept?: string; isFolder?: boolean }) {
  return (
    <label class="file">
      {label}
      <input
        type="file"
        multiple
        {...(accept && { accept })}
        {...(isFolder && { webkitdirectory: true })}
        onChange={({ currentTarget }) => {
          const files = modelFilesAmong([...(currentTarget.files ?? [])]);
          if (files.length > 0) void chooseModel({ kind: 'files', files });
        }}
      />
    </label>
  );
}

function ModelFacts() {
  const { value } = modelReport;
  if (value instanceof Problem) return <ProblemNote problem={value} />;
  if (value === null) return null;
  if (value === 'reading') return <p class="quiet">Reading what the model is …</p>;
  const { name, format, parameters, bytes, seesPictures } = value;
  return (
    <p class="facts" data-testid="model-facts">
      <strong>{name}</strong>: {compact(parameters)} parameters (the numbers it is made of), {formatBytes(bytes)} as{' '}
      {format}
      {seesPictures && '; it sees pictures'}.
    </p>
  );
}

const compact = (count: number) =>
  Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 }).format(count);
