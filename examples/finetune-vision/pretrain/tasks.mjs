// What the base model is trained to say about pictures: other questions, and other ways to answer, than the example's.
import { boxOf, colours, createRandom, kinds, makeScene, pick } from '../data/scenes.mjs';

/** @typedef {import('../data/scenes.mjs').Shape} Shape */

const amounts = ['zero', 'one', 'two', 'three', 'many'];
const ordinal = (/** @type {number} */ fraction) => `<loc${String(Math.round(fraction * 1023)).padStart(4, '0')}>`;

/** @param {Shape} shape */
function places(shape) {
  const { yMin, xMin, yMax, xMax } = boxOf(shape);
  return [yMin, xMin, yMax, xMax].map(ordinal).join('');
}

/** @param {number} count @param {string} word */
const plural = (count, word) => (count === 1 ? word : `${word}s`);

/**
 * Prompts and answers for one picture. Lists go as one reads.
 * @param {import('../data/scenes.mjs').Scene} scene @param {import('../data/scenes.mjs').Random} random
 * @returns {{ prompt: string, completion: string }[]}
 */
function basicTasks({ shapes }, random) {
  const one = pick(random, shapes);
  const [kind, colour] = [pick(random, kinds), pick(random, colours)];
  const likely = random() < 0.6;
  const asked = { kind: likely ? one.kind : kind, colour: likely ? one.colour : colour };
  /** @param {(shape: Shape) => string} by @param {readonly string[]} order */
  const groups = (by, order) =>
    order
      .map((name) => /** @type {const} */ ([name, shapes.filter((s) => by(s) === name).length]))
      .filter(([, count]) => count > 0);
  const seen = [...new Set(shapes.map((s) => s.colour))];
  return [
    { prompt: 'caption', completion: shapes.map((s) => `${s.colour} ${s.kind}`).join(', ') },
    {
      prompt: `count ${asked.colour}`,
      completion: amounts[shapes.filter((s) => s.colour === asked.colour).length] ?? '',
    },
    { prompt: `colour of ${asked.kind}`, completion: shapes.find((s) => s.kind === asked.kind)?.colour ?? 'none' },
    // Digits and plurals, but no colours.
    {
      prompt: 'what shapes',
      completion: groups((s) => s.kind, kinds)
        .map(([name, count]) => `${count} ${plural(count, name)}`)
        .join(' and '),
    },
    // Number words and colours, but no shapes.
    {
      prompt: 'what is there',
      completion: groups((s) => s.colour, colours)
        .map(([name, count]) => `${amounts[count]} ${name}`)
        .join(' and '),
    },
    // Boxes by colour. Two at most, so that every row fits into 16 tokens.
    ...seen
      .map((name) => /** @type {const} */ ([name, shapes.filter((s) => s.colour === name)]))
      .filter(([, alike]) => alike.length <= 2)
      .map(([name, alike]) => ({
        prompt: `detect ${name}`,
        completion: alike.map((s) => `${places(s)} ${name}`).join(' ; '),
      })),
  ];
}

/** The pictures that the base model is trained on, and what is said about each. */
export function baseRows(pictures = 8000) {
  const random = createRandom(1234);
  return Array.from({ length: pictures }, () => {
    const scene = makeScene(random);
    return { scene, tasks: basicTasks(scene, random) };
  });
}
