export { writeHfModel } from './layout/export-node.js';
export { writeSafetensors } from './safetensors/write-file-node.js';
export { fileSource } from './source/file-node.js';
