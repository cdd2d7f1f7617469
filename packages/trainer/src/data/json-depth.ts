/** Deeper than anything that is written here, and shallow enough for whatever goes through values by calling itself. */
const deepest = 100;

/** Whether lists and objects stand in each other so deep that no honest file has them: others would run out of stack. */
export function isTooDeep(value: unknown): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > deepest) return true;
    level = level.flatMap((each) => (typeof each === 'object' && each !== null ? Object.values(each) : []));
  }
  return false;
}
