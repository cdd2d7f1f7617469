import { group } from './train-flag.js';

export const picturesFlags = group('Pictures', [
  {
    name: '--image-preset',
    value: '<name>',
    path: 'imagePreset',
    kind: 'text',
    help: 'big-vision or hugging-face (default: as the weights were published)',
  },
  {
    name: '--allow-missing',
    value: '<patterns>',
    path: 'allowMissing',
    kind: 'names',
    help: "parameters that the weights may lack and that begin anew, such as 'vision.**'",
  },
]);
