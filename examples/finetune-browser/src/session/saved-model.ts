import type { ModelChoice, SavedModel } from './protocol.js';

export const smallModelName = 'Small Gemma 3 of this page';

/** A model by its files' names and sizes, as a run is known by when it goes on. */
export function saveModel(choice: ModelChoice): SavedModel {
  if (choice.kind !== 'files') return choice.kind === 'small' ? choice : { kind: 'address', address: choice.address };
  return { kind: 'files', files: choice.files.map(({ name, size }) => `${name} (${size} bytes)`).sort() };
}

export function nameOfModel(choice: ModelChoice): string {
  switch (choice.kind) {
    case 'small':
      return smallModelName;
    case 'address':
      return choice.address;
    case 'files': {
      const path = choice.files.find(({ webkitRelativePath }) => webkitRelativePath !== '')?.webkitRelativePath;
      return path?.split('/')[0] ?? choice.files.map(({ name }) => name).join(', ');
    }
  }
}
