// What needs Node: files on disk and the terminal.
export { createTerminalProgress } from './progress/terminal-progress-node.js';
export { createNodeFileStore, removeUnfinishedFiles, type FileSystem } from './store/file-store-node.js';
export { makeFolder } from './store/make-folder-node.js';
export { machineMemory } from './run/run-files-node.js';
