import { bind, Callable, isEqual, List, Namespace, orElse, Undefined, type Value } from './values.js';

/** What a loop over `items` says of its turns, as `loop`; `next` goes on to a turn. */
export function loopOver(items: readonly Value[]): { readonly loop: Namespace; next(): void } {
  const { length } = items;
  let at = -1;
  let last: List | undefined;
  const fields = new Map<string, Value>();
  const own: Record<string, Value> = {
    length: BigInt(length),
    depth: 1n,
    depth0: 0n,
    cycle: new Callable('cycle', ({ args, named }) => {
      bind({ args: [], named }, []);
      if (args.length === 0) throw new Error('it goes round among no values');
      return args[at % args.length]!;
    }),
    changed: new Callable('changed', ({ args, named }) => {
      bind({ args: [], named }, []);
      const given = new List(args);
      const isChanged = last === undefined || !isEqual(last, given);
      last = given;
      return isChanged;
    }),
  };
  const set = (values: Readonly<Record<string, Value>>) => {
    for (const [name, value] of Object.entries(values)) fields.set(name, value);
  };
  set(own);
  return {
    loop: new Namespace(fields, true),
    next() {
      at++;
      set({
        index: BigInt(at + 1),
        index0: BigInt(at),
        revindex: BigInt(length - at),
        revindex0: BigInt(length - at - 1),
        first: at === 0,
        last: at === length - 1,
        previtem: orElse(items[at - 1], new Undefined('an item before the first')),
        nextitem: orElse(items[at + 1], new Undefined('an item after the last')),
      });
    },
  };
}
