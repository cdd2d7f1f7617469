import type { ModelChoice, SavedModel } from './protocol.js';

const ownNames = { small: 'Small Gemma 3 of this page', 'small-pictures': 'Small PaliGemma of this page' };

/** What follows a question mark is most often a signature, and nobody else's business. */
const withoutQuery = (address: string) => address.replace(/[?#].*$/, '');

/**
 * A model as its run keeps it: an address without signature and token, files by their names and sizes. Whether the weights are
 * the same the trainer knows by their fingerprint.
 */
export function saveModel(choice: ModelChoice): SavedModel {
  if (choice.kind === 'address') return { kind: 'address', address: withoutQuery(choice.address) };
  if (choice.kind !== 'files') return choice;
  return { kind: 'files', files: choice.files.map(({ name, size }) => `${name} (${size} bytes)`).sort() };
}

/** Of the files of a folder those that a model is read from. */
export function modelFilesAmong(files: readonly File[]): File[] {
  return files.filter(
    ({ name, webkitRelativePath }) =>
      // Not those of folders in it.
      webkitRelativePath.split('/').length <= 2 &&
      /^(config|tokenizer|tokenizer_config|model\.safetensors\.index)\.json$|\.(safetensors|gguf|npz|model)$/.test(
        name,
      ),
  );
}

export function nameOfModel(choice: ModelChoice): string {
  switch (choice.kind) {
    case 'small':
    case 'small-pictures':
      return ownNames[choice.kind];
    case 'address':
      return withoutQuery(choice.address);
    case 'files': {
      const path = choice.files.find(({ webkitRelativePath }) => webkitRelativePath !== '')?.webkitRelativePath;
      return path?.split('/')[0] ?? choice.files.map(({ name }) => name).join(', ');
    }
  }
}
