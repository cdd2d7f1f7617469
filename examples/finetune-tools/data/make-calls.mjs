// Writes train.jsonl and held-out.jsonl: what one says to a telephone or a house, and the call that it means. Seeded: the same files every
// time. Held-out rows are said in other words than those that are learned, with other names and numbers; rooms, devices, songs and things to buy
// are the same ones. Each row offers three functions.
import { writeFileSync } from 'node:fs';

let state = 11;
const random = (n) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 4294967296) * n);
};
const capital = (text) => text[0].toUpperCase() + text.slice(1);
const pick = (list) => list[random(list.length)];

const words = (text) => text.split(' ');
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
/** Those that are learned from, and those held out. */
const split = (list, ...heldOut) => [list.filter((each) => !heldOut.includes(each)), heldOut];
const shared = (list) => [list, list];

/** Values by kind. */
const values = {
  room: shared(words('kitchen hall bedroom garage office attic cellar garden')),
  device: shared(words('radio heater fan oven screen pump boiler mixer')),
  song: shared(['Yesterday', 'Blue River', 'Summer Wind', 'Red Moon', 'Home Again', 'Night Train']),
  item: shared(words('eggs apples candles pears lemons pens')),
  name: split(
    words(
      'Anna Peter Maria Tom Laura Simon Clara Martin David Julia Paul Sarah Lena Max Felix Alice Oscar Ruth Jan Eva Karl Ida Leo Mia Ben Tina Hans Rosa Otto Vera Luke Jane Frank Helen Mark Susan Adam Kate Emma Robert Nina Lisa Tim',
    ),
    ...words('Emma Robert Nina Lisa Tim'),
  ),
  level: split(range(5, 95), 25, 38, 40, 62, 70, 91),
  minutes: split(range(2, 59), 4, 15, 27, 30, 48),
  hour: split(range(4, 12), 7, 10),
  amount: split(range(5, 99), 9, 20, 33, 76),
  count: split(range(2, 30), 6, 13, 24),
};

/** Functions: their parameters, and what is said; of the phrasings the last two are held out. */
const functions = {
  set_light: {
    parameters: { room: 'room', level: 'level' },
    phrasings: [
      'set the light in the {room} to {level}',
      'make the {room} light {level} percent',
      'dim the light of the {room} to {level}',
      'I want {level} percent of light in the {room}',
      'put the {room} light at {level} percent',
      'the light in the {room} should be {level} percent',
      'give me {level} percent of light in the {room}',
      'in the {room}, dim the light to {level}',
      'in the {room}, set the light to {level} percent',
      'dim the {room} light to {level} percent',
    ],
  },
  switch_off: {
    parameters: { device: 'device', room: 'room' },
    phrasings: [
      'switch off the {device} in the {room}',
      'turn the {device} of the {room} off',
      'the {device} in the {room} should be off',
      'stop the {device} in the {room}',
      'turn off the {device} in the {room}',
      'I want the {device} in the {room} off',
      'in the {room}, switch off the {device}',
      'switch the {device} of the {room} off',
      'in the {room}, turn off the {device}',
      'switch the {device} in the {room} off',
    ],
  },
  play: {
    parameters: { song: 'song' },
    phrasings: [
      'play {song}',
      'I want to hear {song}',
      'put on the song {song}',
      'let me hear {song}',
      'play {song} for me',
      'the next song should be {song}',
      'start the song {song}',
      'let us hear the song {song}',
      'play the song {song}',
      'I want to hear the song {song}',
    ],
  },
  set_timer: {
    parameters: { minutes: 'minutes' },
    phrasings: [
      'set a timer for {minutes} minutes',
      'start a timer of {minutes} minutes',
      'tell me when {minutes} minutes are over',
      'I need a timer for {minutes} minutes',
      'a timer of {minutes} minutes',
      'let the timer run for {minutes} minutes',
      'say when {minutes} minutes are over',
      'put the timer at {minutes} minutes',
      'start a timer for {minutes} minutes',
      'set the timer to {minutes} minutes',
    ],
  },
  set_alarm: {
    parameters: { hour: 'hour' },
    phrasings: [
      'wake me at {hour}',
      'set an alarm for {hour} in the morning',
      'I need an alarm at {hour}',
      'I have to get up at {hour}',
      'get me up at {hour} in the morning',
      'put the alarm at {hour}',
      'wake us at {hour} in the morning',
      'I want an alarm for {hour}',
      'set the alarm for {hour}',
      'wake me at {hour} in the morning',
    ],
  },
  phone: {
    parameters: { name: 'name' },
    phrasings: [
      'call {name}',
      'I want to talk to {name}',
      'phone {name}',
      'get me {name} on the phone',
      'I need {name} on the phone',
      'let me talk to {name}',
      'make a call to {name}',
      'I have to call {name}',
      'phone {name} for me',
      'I need to talk to {name}',
    ],
  },
  pay: {
    parameters: { name: 'name', amount: 'amount' },
    phrasings: [
      'pay {name} {amount} euros',
      'send {amount} euros to {name}',
      'I owe {name} {amount} euros',
      'give {name} {amount} euros',
      '{name} gets {amount} euros from me',
      'pay {amount} euros to {name}',
      'I want to send {name} {amount} euros',
      'transfer {amount} euros to {name}',
      'send {name} {amount} euros',
      'I want to pay {amount} euros to {name}',
    ],
  },
  add_to_list: {
    parameters: { item: 'item', count: 'count' },
    phrasings: [
      'add {count} {item} to the list',
      'put {count} {item} on my shopping list',
      'we need {count} {item}',
      'I have to buy {count} {item}',
      'we have to buy {count} {item}',
      'the list needs {count} {item}',
      'write {count} {item} on the list',
      'put {count} {item} on the shopping list',
      'add {count} {item} to my shopping list',
      'put {count} {item} on the list',
    ],
  },
};
const openings = ['', '', 'please ', 'then '];
const endings = ['.', '.', ', please.', ' now.'];
const numbers = new Set(['level', 'minutes', 'hour', 'amount', 'count']);

const declare = (name) => ({
  type: 'function',
  function: {
    name,
    parameters: {
      type: 'object',
      properties: Object.fromEntries(
        Object.entries(functions[name].parameters).map(([key, kind]) => [
          key,
          { type: numbers.has(kind) ? 'integer' : 'string' },
        ]),
      ),
      required: Object.keys(functions[name].parameters),
    },
  },
});

/** One row: of the values and phrasings that are learned from, or of those held out. */
function makeRow(isHeldOut) {
  const names = Object.keys(functions);
  const name = pick(names);
  const { parameters, phrasings } = functions[name];
  const said = Object.fromEntries(
    Object.entries(parameters).map(([key, kind]) => [key, pick(values[kind][isHeldOut ? 1 : 0])]),
  );
  const phrasing = pick(isHeldOut ? phrasings.slice(-2) : phrasings.slice(0, -2));
  const sentence = `${pick(openings)}${phrasing}${pick(endings)}`;
  const offered = [name];
  while (offered.length < 3)
    offered.splice(random(offered.length + 1), 0, pick(names.filter((n) => !offered.includes(n))));
  return {
    messages: [
      { role: 'user', content: capital(sentence.replace(/\{(\w+)\}/g, (_, key) => said[key])) },
      { role: 'assistant', tool_calls: [{ type: 'function', function: { name, arguments: said } }] },
    ],
    tools: offered.map(declare),
  };
}

function write(file, count, isHeldOut) {
  const rows = new Map();
  while (rows.size < count) {
    const row = makeRow(isHeldOut);
    const said = row.messages[0].content;
    if (!rows.has(said)) rows.set(said, row);
  }
  writeFileSync(new URL(file, import.meta.url), [...rows.values()].map((row) => `${JSON.stringify(row)}\n`).join(''));
}
write('train.jsonl', 1000, false);
write('held-out.jsonl', 48, true);
