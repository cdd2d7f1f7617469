import type { DeviceProfile } from '@lapidary/gpu';
import { isQuantised } from '@lapidary/kernels';
import { resolveAlias, type GraphNode, type Tensor } from '../graph.js';
import { readersOf } from './fuse.js';
import type { FusedEpilogue } from './fuse-epilogue.js';

/** A norm that the kernels of another node take into their reads of its input. */
export interface FusedNorm {
  /** What is normalised: read in the place of the norm's value. */
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly eps: number;
  readonly weightOffset: number;
}

/** Norms by the node that takes them in, and the nodes whose value nobody needs then. */
export interface FusedNorms {
  readonly of: ReadonlyMap<GraphNode, FusedNorm>;
  readonly absorbed: ReadonlySet<GraphNode>;
}

/**
 * Norms that all who read them take in: the projections of a single token. Each normalises it anew, which costs little beside reading
 * a matrix and saves a kernel that a GPU would wait for. `order` is every scheduled node, inputs first; `kept` are nodes whose value
 * must exist in memory; `epilogues` what kernels do beside.
 */
export function fuseNorms(
  profile: DeviceProfile,
  order: readonly GraphNode[],
  kept: ReadonlySet<GraphNode>,
  epilogues: ReadonlyMap<GraphNode, FusedEpilogue>,
): FusedNorms {
  const of = new Map<GraphNode, FusedNorm>();
  const absorbed = new Set<GraphNode>();
  // On the CPU a load of a weight for every use costs more than a kernel that is saved (on lavapipe the products take 5 % longer).
  if (profile.adapter.isSoftware) return { of, absorbed };
  const readers = readersOf(order);
  const epilogueOf = new Map([...epilogues.values()].map((epilogue) => [epilogue.producer, epilogue]));
  /** Who reads a node, through reshapes. */
  const readersThrough = (node: GraphNode): GraphNode[] =>
    [...(readers.get(node) ?? [])].flatMap((reader) => (reader.alias ? readersThrough(reader) : [reader]));
  const takesIn = (reader: GraphNode, norm: GraphNode) => {
    const { bias, residual } = epilogueOf.get(reader) ?? {};
    const [first, ...others] = reader.inputs.map((t) => resolveAlias(t).node);
    return reader.takesNorm && !bias && !residual && first === norm && !others.includes(norm);
  };

  for (const node of order) {
    if (node.norm === undefined || kept.has(node) || epilogueOf.has(node)) continue;
    // What is recomputed for a gradient must come out the same as here, where others than products read it.
    if (node.region) continue;
    const [x, weight] = node.inputs as [Tensor, Tensor];
    const all = readersThrough(node);
    // Of several rows a reshape can make one.
    if (x.size !== weight.size || isQuantised(weight.dtype)) continue;
    if (all.length === 0 || !all.every((reader) => takesIn(reader, node))) continue;
    for (const reader of all) of.set(reader, { x, weight, ...node.norm });
    absorbed.add(node);
  }
  return { of, absorbed };
}
