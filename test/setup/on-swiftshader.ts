// Makes every device of a test process a SwiftShader one, whatever else the machine has.
import { provisionSoftwareAdapter } from '../../packages/gpu/src/software-node.js';

if ((await provisionSoftwareAdapter()) === undefined) {
  throw new Error(
    'SwiftShader needs Linux on x64 and the npm package @sparticuz/chromium: install the development dependencies.',
  );
}
