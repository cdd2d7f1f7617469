import { ConfigError, describeValue, quantizeTypes, type QuantizeType } from '@lapidary/trainer';

/** Of every command that answers. */
export const quantizeHelp =
  'matrices become q8_0, q4_0 or nf4 while they are read: half or a quarter of the memory (default: as in the file)';

/** What `--quantize` names; undefined where it was not typed. @throws ConfigError for another name */
export function readQuantize(text: string | undefined): QuantizeType | undefined {
  if (text === undefined) return undefined;
  const type = quantizeTypes.find((each) => each === text);
  if (type !== undefined) return type;
  const allowed = `one of ${quantizeTypes.join(', ')}`;
  throw new ConfigError({
    problems: [{ path: '--quantize', found: describeValue(text), allowed }],
    subject: 'The command',
  });
}
