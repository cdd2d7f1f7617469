/** A box named by a model: fractions of the picture's height and width, 0 … 1. */
export interface DetectedBox {
  readonly label: string;
  readonly yMin: number;
  readonly xMin: number;
  readonly yMax: number;
  readonly xMax: number;
}

/** A part of an answer that is no detection. */
export interface MalformedDetection {
  /** As the model wrote it. */
  readonly text: string;
  /** Position of `text` in the answer. */
  readonly start: number;
  readonly problem: string;
}

/** A text that cannot be written between tokens: reading it again would give something else. */
export class DetectionLabelError extends Error {
  override readonly name = 'DetectionLabelError';
  readonly label: string;
  constructor(label: string) {
    super(
      `The label ${JSON.stringify(label)} holds ';', a <loc…>, <seg…> or end token, or blanks around it. Rename it: ` +
        'these divide detections.',
    );
    this.label = label;
  }
}

export interface ScannedDetection {
  readonly box: DetectedBox;
  /** Codebook indices after the box: 16, or none. */
  readonly segments: readonly number[];
  /** As the model wrote it, and where. */
  readonly text: string;
  readonly start: number;
}

interface Item {
  readonly kind: 'loc' | 'seg' | 'text' | 'separator';
  readonly start: number;
  readonly text: string;
  /** A token's number; undefined where it has none, or one that is not in the vocabulary. */
  readonly value?: number | undefined;
}

/** `<loc0000>` … `<loc1023>`: positions from one edge of the picture to the other, both included. */
const lastLoc = 1023;
/** `<seg000>` … `<seg127>`. */
const lastSegment = 127;
export const segmentsPerMask = 16;

/** A token, whole or broken, or the sign between two detections. */
const tokenOrSeparator = /<(loc|seg)([^<>;\s]*)>?|;/g;
const endTokens = /<(?:eos|bos|pad)>/g;

/**
 * Finds detections in a model's answer: four `<loc…>`, none or 16 `<seg…>`, a label or none, `;` between two. Whatever else
 * there is goes into `malformed`; nothing throws.
 */
export function scanDetections(answer: string): { found: ScannedDetection[]; malformed: MalformedDetection[] } {
  const found: ScannedDetection[] = [];
  const malformed: MalformedDetection[] = [];
  for (const items of groupItems(itemsOf(answer))) {
    const [first, last] = [items[0]!, items.at(-1)!];
    const { start } = first;
    const text = answer.slice(start, last.start + last.text.length);
    const result = readDetection(items);
    if (typeof result === 'string') malformed.push({ text, start, problem: result });
    else found.push({ ...result, text, start });
  }
  return { found, malformed };
}

function itemsOf(answer: string): Item[] {
  // Blanked, not removed: positions stay.
  const clean = answer.replace(endTokens, (token) => ' '.repeat(token.length));
  const items: Item[] = [];
  const addText = (from: number, to: number) => {
    const piece = clean.slice(from, to);
    const text = piece.trim();
    if (text !== '') items.push({ kind: 'text', start: from + piece.indexOf(text), text });
  };
  let end = 0;
  for (const match of clean.matchAll(tokenOrSeparator)) {
    const [text, kind, digits] = match;
    addText(end, match.index);
    end = match.index + text.length;
    if (kind === 'loc' || kind === 'seg')
      items.push({ kind, start: match.index, text, value: numberOf(text, kind, digits!) });
    else items.push({ kind: 'separator', start: match.index, text });
  }
  addText(end, clean.length);
  return items;
}

function numberOf(text: string, kind: 'loc' | 'seg', digits: string): number | undefined {
  if (!text.endsWith('>') || !(kind === 'loc' ? /^\d{4}$/ : /^\d{3}$/).test(digits)) return undefined;
  const value = Number(digits);
  return value <= (kind === 'loc' ? lastLoc : lastSegment) ? value : undefined;
}

/** Each group is a detection, or what stands where one should: positions, then segments, then text. */
function groupItems(items: readonly Item[]): Item[][] {
  const groups: Item[][] = [];
  let group: Item[] = [];
  const close = () => {
    if (group.length > 0) groups.push(group);
    group = [];
  };
  for (const item of items) {
    const last = group.at(-1)?.kind;
    const isComplete =
      last === 'text' || (item.kind === 'loc' && (last === 'seg' || (last === 'loc' && group.length === 4)));
    if (item.kind === 'separator' || isComplete) close();
    if (item.kind !== 'separator') group.push(item);
  }
  close();
  return groups;
}

/** The detection, or what is wrong with it. */
function readDetection(items: readonly Item[]): Pick<ScannedDetection, 'box' | 'segments'> | string {
  const tokens = items.filter(({ kind }) => kind !== 'text');
  if (tokens.length === 0) return 'text outside a detection';
  const unknown = tokens.find(({ value }) => value === undefined);
  if (unknown !== undefined) return `${unknown.text} is no token of the vocabulary`;
  const valuesOf = (wanted: Item['kind']) => tokens.flatMap(({ kind, value }) => (kind === wanted ? [value!] : []));
  const [locs, segments] = [valuesOf('loc'), valuesOf('seg')];
  if (locs.length !== 4) return `${locs.length} <loc…> tokens instead of 4`;
  if (segments.length !== 0 && segments.length !== segmentsPerMask)
    return `${segments.length} <seg…> tokens instead of ${segmentsPerMask}`;
  const [yMin, xMin, yMax, xMax] = locs.map((value) => value / lastLoc) as [number, number, number, number];
  if (yMin >= yMax || xMin >= xMax) return 'the box is empty: its maximum is not beyond its minimum';
  const label = items.find(({ kind }) => kind === 'text')?.text ?? '';
  return { box: { label, yMin, xMin, yMax, xMax }, segments };
}

/**
 * Four `<loc…>` tokens, the given ones in between, and the label. @throws {DetectionLabelError}
 * @throws {RangeError} for coordinates that are not numbers, or a box that is empty.
 */
export function formatDetection({ label, yMin, xMin, yMax, xMax }: DetectedBox, between = ''): string {
  if (label !== label.trim() || label.search(tokenOrSeparator) >= 0 || label.search(endTokens) >= 0)
    throw new DetectionLabelError(label);
  const bins = [yMin, xMin, yMax, xMax].map((value) => {
    if (!Number.isFinite(value)) throw new RangeError(`a box's coordinates are fractions of the picture, not ${value}`);
    return roundHalfToEven(Math.min(1, Math.max(0, value)) * lastLoc);
  });
  if (bins[0]! >= bins[2]! || bins[1]! >= bins[3]!) {
    throw new RangeError(
      `the box ${JSON.stringify(label)} [${[yMin, xMin, yMax, xMax].join(', ')}] (yMin, xMin, yMax, xMax) is empty, or ` +
        `smaller than 1/${lastLoc} of the picture`,
    );
  }
  const locs = bins.map((bin) => `<loc${String(bin).padStart(4, '0')}>`).join('');
  return label === '' ? locs + between : `${locs}${between} ${label}`;
}

/** As TensorFlow rounds, whose bins the model was trained with. */
function roundHalfToEven(value: number): number {
  const below = Math.floor(value);
  const isTie = value - below === 0.5;
  return isTie ? below + (below % 2) : Math.round(value);
}
