import { namesBeside } from './files-beside.js';

/** Files of weights in the folders that exports write. */
export const weightFiles = /^(adapter_model|model(-\d+-of-\d+)?)\.safetensors(\.index\.json)?$/;

/** Whether exports write files of this name into their folders: what else lies there is somebody else's. */
export function isExportedName(name: string): boolean {
  return (
    weightFiles.test(name) || ['adapter_config.json', 'config.json', 'tokenizer.model', ...namesBeside].includes(name)
  );
}
