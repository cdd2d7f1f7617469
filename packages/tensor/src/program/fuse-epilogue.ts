import { resolveAlias, type Activation, type GraphNode, type Tensor } from '../graph.js';
import { readersOf } from './fuse.js';

/** What the kernels of a node do to its value while they write it, in this order. */
export interface FusedEpilogue {
  /** The node whose kernels run; its own value is not kept. */
  readonly producer: GraphNode;
  /** f32, as long as a row; added to each. */
  readonly bias?: Tensor;
  readonly activation?: Activation;
  /** The other term of a sum. Never beside an activation: a product in parts could not do both in place. */
  readonly residual?: Tensor;
}

/** Epilogues by the node whose value they make, and every other node whose value they make needless. */
export interface FusedEpilogues {
  readonly of: ReadonlyMap<GraphNode, FusedEpilogue>;
  readonly absorbed: ReadonlySet<GraphNode>;
}

/**
 * Chains of a node that takes an epilogue, a bias, then an activation or the sum with another tensor; values on the way have no other
 * reader. `order` is every scheduled node, inputs first; `kept` are nodes whose value must exist in memory.
 */
export function fuseEpilogues(order: readonly GraphNode[], kept: ReadonlySet<GraphNode>): FusedEpilogues {
  const readers = readersOf(order);
  const of = new Map<GraphNode, FusedEpilogue>();
  const absorbed = new Set<GraphNode>();
  const readOnce = (node: GraphNode) => readers.get(node)?.size === 1 && !kept.has(node);
  /** What makes a tensor for its only reader, if more can be done to it. */
  const open = (t: Tensor): { at: GraphNode; epilogue: FusedEpilogue } | undefined => {
    let { node } = t;
    while (node.alias && readOnce(node)) node = node.inputs[0]!.node;
    if (!readOnce(node)) return undefined;
    const epilogue = of.get(node) ?? (node.takesEpilogue && { producer: node });
    return epilogue && !epilogue.activation && !epilogue.residual ? { at: node, epilogue } : undefined;
  };
  const fuse = (
    node: GraphNode,
    { at, epilogue }: NonNullable<ReturnType<typeof open>>,
    more: Partial<FusedEpilogue>,
  ) => {
    absorbed.add(at);
    of.delete(at);
    of.set(node, { ...epilogue, ...more });
  };

  for (const node of order) {
    const op = node.elementwise?.op;
    if (op === 'gelu' || op === 'silu') {
      const before = open(node.inputs[0]!);
      if (before?.epilogue.producer.takesEpilogue === 'whole') fuse(node, before, { activation: op });
    }
    if (op !== 'add') continue;
    const [a, b] = node.inputs as [Tensor, Tensor];
    const { shape } = node.outputs[0]!;
    const asLarge = (t: Tensor) => t.shape.join() === shape.join();
    const before = open(a);
    if (asLarge(a) && before && isBiasOf(b, before.epilogue, shape)) {
      fuse(node, before, { bias: b });
      continue;
    }
    if (a.node === b.node || !asLarge(a) || !asLarge(b)) continue;
    // Of two products the later one: the other lies in memory by then.
    const terms = [
      { before, residual: b },
      { before: open(b), residual: a },
    ].flatMap(({ before, residual }) =>
      before && residual.dtype === 'f32' && liesInMemory(residual) ? [{ before, residual }] : [],
    );
    terms.sort((x, y) => y.before.at.id - x.before.at.id);
    if (terms[0]) fuse(node, terms[0].before, { residual: terms[0].residual });
  }
  return { of, absorbed };
}

/** Whether a tensor is added to each row, and the rows are those that the producer makes. */
function isBiasOf(t: Tensor, { producer, bias }: FusedEpilogue, shape: readonly number[]): boolean {
  const row = shape.at(-1)!;
  const rows = shape.length > 1 && producer.outputs[0]!.shape.at(-1) === row;
  return (
    producer.takesEpilogue === 'whole' &&
    !bias &&
    rows &&
    t.dtype === 'f32' &&
    t.shape.join() === String(row) &&
    liesInMemory(t)
  );
}

/** Constants do not: kernels that read one make it themselves. */
function liesInMemory(t: Tensor): boolean {
  return resolveAlias(t).node.elementwise?.op !== 'constant';
}
