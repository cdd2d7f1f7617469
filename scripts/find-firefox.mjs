// Finds a Firefox for the browser tests: $FIREFOX, or one of the system. No npm package carries one.
import { existsSync } from 'node:fs';

// Debian's ESR first: the `firefox` of some systems is a script that opens a package manager's.
const systemPaths = [
  '/usr/bin/firefox-esr',
  '/usr/bin/firefox',
  '/Applications/Firefox.app/Contents/MacOS/firefox',
  'C:/Program Files/Mozilla Firefox/firefox.exe',
];

/** @returns {string | undefined} where it lies; undefined when there is none. */
export function findFirefox() {
  return process.env.FIREFOX || systemPaths.find((path) => existsSync(path));
}
