import type { ElementwiseStep } from '@lapidary/kernels';
import type { GraphNode, Tensor } from '../graph.js';

/** A chain of elementwise nodes that becomes one kernel, computing the output of the last node. */
export interface FusedGroup {
  readonly root: GraphNode;
  /** Members, inputs first; the last is the root. */
  readonly nodes: readonly GraphNode[];
  /** Tensors read from memory, each once. */
  readonly inputs: readonly Tensor[];
  readonly steps: readonly ElementwiseStep[];
}

/** Longer chains compile slowly and need many registers. */
const MAX_STEPS = 24;

/**
 * Groups elementwise nodes: a node joins its consumer's kernel when that is its only consumer and the group's memory reads
 * stay within `maxInputs`. `order` is every scheduled node, inputs first; `kept` are nodes whose value must exist in memory;
 * `elsewhere` has nodes that other kernels compute.
 */
export function fuse(
  order: readonly GraphNode[],
  kept: ReadonlySet<GraphNode>,
  maxInputs: number,
  elsewhere: { has(node: GraphNode): boolean },
): Map<GraphNode, FusedGroup> {
  const readers = readersOf(order);
  const groups = new Map<GraphNode, FusedGroup>();
  const absorbed = new Set<GraphNode>();
  for (const root of [...order].reverse()) {
    if (root.elementwise === undefined || absorbed.has(root) || elsewhere.has(root)) continue;
    const members = new Set<GraphNode>([root]);
    let inputs = uniqueInputs(members);
    // Grows from the root backwards; a member's inputs are candidates as soon as it has joined.
    const queue = [...root.inputs];
    while (queue.length > 0 && members.size < MAX_STEPS) {
      const { node } = queue.shift()!;
      if (node.elementwise === undefined || members.has(node) || absorbed.has(node) || elsewhere.has(node)) continue;
      const free = node.elementwise.op === 'constant';
      const onlyHere = [...(readers.get(node) ?? [])].every((user) => members.has(user));
      if (!free && (kept.has(node) || !onlyHere)) continue;
      // A broadcast value is computed once, not once for every element that reads it.
      if (!free && node.outputs[0]!.shape.join() !== root.outputs[0]!.shape.join()) continue;
      members.add(node);
      const grown = uniqueInputs(members);
      if (grown.length > maxInputs) {
        members.delete(node);
        continue;
      }
      inputs = grown;
      queue.push(...node.inputs);
    }
    for (const member of members) if (member !== root && member.elementwise!.op !== 'constant') absorbed.add(member);
    groups.set(root, build(root, members, inputs));
  }
  for (const node of absorbed) groups.delete(node);
  return groups;
}

/** The nodes that read each node. */
export function readersOf(order: readonly GraphNode[]): Map<GraphNode, Set<GraphNode>> {
  const readers = new Map<GraphNode, Set<GraphNode>>();
  for (const node of order) {
    for (const { node: input } of node.inputs) {
      let own = readers.get(input);
      if (own === undefined) readers.set(input, (own = new Set()));
      own.add(node);
    }
  }
  return readers;
}

function uniqueInputs(members: ReadonlySet<GraphNode>): Tensor[] {
  const seen = new Map<string, Tensor>();
  for (const member of members) {
    for (const input of member.inputs) {
      if (!members.has(input.node)) seen.set(`${input.node.id}.${input.index}`, input);
    }
  }
  return [...seen.values()].sort((a, b) => a.node.id - b.node.id);
}

function build(root: GraphNode, members: ReadonlySet<GraphNode>, inputs: readonly Tensor[]): FusedGroup {
  const nodes = [...members].sort((a, b) => a.id - b.id);
  const numberOf = new Map<string, number>(inputs.map((t, i) => [`${t.node.id}.${t.index}`, i]));
  const steps = nodes.map((node, i): ElementwiseStep => {
    numberOf.set(`${node.id}.0`, inputs.length + i);
    const { op, value } = node.elementwise!;
    return {
      op,
      args: node.inputs.map((t) => numberOf.get(`${t.node.id}.${t.index}`)!),
      ...(value !== undefined && { value }),
    };
  });
  return { root, nodes, inputs, steps };
}
