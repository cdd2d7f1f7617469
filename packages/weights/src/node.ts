export { writeHfModel } from './layout/export-node.js';
export { writeFileAtomically, writeSafetensors } from './safetensors/write-file-node.js';
export { fileSource } from './source/file-node.js';
