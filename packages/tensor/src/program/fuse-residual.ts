import type { GraphNode, Tensor } from '../graph.js';
import { readersOf } from './fuse.js';

/** A sum that the kernels of one of its terms compute while they write that term. */
export interface FusedResidual {
  /** The node whose kernels run; its own value is not kept. */
  readonly producer: GraphNode;
  /** The other term. */
  readonly residual: Tensor;
}

/**
 * Sums of two tensors, of which one is made by a node that can add a residual and has no other reader. By the node of the sum.
 * `order` is every scheduled node, inputs first; `kept` are nodes whose value must exist in memory.
 */
export function fuseResiduals(
  order: readonly GraphNode[],
  kept: ReadonlySet<GraphNode>,
): Map<GraphNode, FusedResidual> {
  const readers = readersOf(order);
  const readOnce = (node: GraphNode) => readers.get(node)?.size === 1 && !kept.has(node);
  /** The node that makes a tensor for its only reader, if it can add a residual. */
  const producerOf = (t: Tensor): GraphNode | undefined => {
    let { node } = t;
    while (node.alias && readOnce(node)) node = node.inputs[0]!.node;
    return node.addsResidual && readOnce(node) ? node : undefined;
  };

  const fused = new Map<GraphNode, FusedResidual>();
  for (const sum of order) {
    if (sum.elementwise?.op !== 'add') continue;
    const [a, b] = sum.inputs as [Tensor, Tensor];
    const shape = sum.outputs[0]!.shape.join();
    if (a.node === b.node || a.shape.join() !== shape || b.shape.join() !== shape) continue;
    // Of two products the later one: the other lies in memory by then.
    const terms = [
      { producer: producerOf(a), residual: b },
      { producer: producerOf(b), residual: a },
    ].filter((term): term is FusedResidual => term.producer !== undefined && liesInMemory(term.residual));
    terms.sort((x, y) => y.producer.id - x.producer.id);
    if (terms[0]) fused.set(sum, terms[0]);
  }
  return fused;
}

/** Constants do not: kernels that read one make it themselves. */
function liesInMemory(t: Tensor): boolean {
  let { node } = t;
  while (node.alias) node = node.inputs[0]!.node;
  return node.elementwise?.op !== 'constant';
}
