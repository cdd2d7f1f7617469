// Builds the page and serves it on this machine.
import { buildPage, servePage } from './build.mjs';

await buildPage();
const { url } = await servePage();
console.log(`The page is at ${url} (Ctrl-C ends it). Open it in Chrome or Edge 127 or later, or Firefox 141 or later.`);
