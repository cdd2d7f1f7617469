import {
  addNode,
  needFunctions,
  needTensorLists,
  needTensors,
  Tensor,
  TensorShapeError,
  withoutRegion,
  withRegion,
  type CheckpointRegion,
  type GraphNode,
} from './graph.js';
import { add, constant } from './ops/elementwise.js';
import { sum } from './ops/reduce.js';
import { reshape } from './ops/shape.js';
import { treeEntries, treeFromEntries, type Tree } from './tree.js';

/** An op without a gradient rule lies on the way. */
export class NotDifferentiableError extends Error {
  override readonly name = 'NotDifferentiableError';
}

/**
 * Gradients of a scalar with respect to tensors, as new nodes of the graph (reverse mode). A tensor that the loss does not
 * depend on gets undefined.
 */
export function gradients(loss: Tensor, wrt: readonly Tensor[]): (Tensor | undefined)[] {
  needTensors('gradients', { loss });
  needTensorLists('gradients', { wrt });
  if (loss.size !== 1)
    throw new TensorShapeError('gradients', `the loss must be one number, not of shape [${loss.shape.join(', ')}]`);
  return withoutRegion(() => backward(loss, wrt));
}

function backward(loss: Tensor, wrt: readonly Tensor[]): (Tensor | undefined)[] {
  const wanted = new Set(wrt.map((t) => t.node));
  const order = nodesBelow(loss.node);
  const needs = new Set<GraphNode>();
  for (const node of order) {
    if (wanted.has(node) || node.inputs.some((input) => needs.has(input.node))) needs.add(node);
  }
  const grads = new Map<GraphNode, (Tensor | undefined)[]>();
  const accumulate = (tensor: Tensor, grad: Tensor) => {
    let slots = grads.get(tensor.node);
    if (slots === undefined)
      grads.set(tensor.node, (slots = new Array<Tensor | undefined>(tensor.node.outputs.length).fill(undefined)));
    const before = slots[tensor.index];
    slots[tensor.index] = before === undefined ? grad : add(before, grad);
  };
  accumulate(loss, constant(1, loss.shape));

  const recomputed = new Map<CheckpointRegion, Map<GraphNode, Tensor[]>>();
  for (const node of [...order].reverse()) {
    const slots = grads.get(node);
    if (slots === undefined || !needs.has(node) || node.inputs.length === 0) continue;
    if (!wanted.has(node)) grads.delete(node);
    if (node.vjp === undefined) throw new NotDifferentiableError(`'${node.name}' has no gradient rule`);
    const inputNeeds = node.inputs.map((input) => needs.has(input.node));
    const replace = node.region === undefined ? (t: Tensor) => t : recompute(node.region, recomputed);
    const inputGrads = node.vjp({
      inputs: node.inputs.map(replace),
      outputs: node.outputs.map((_, i) => replace(new Tensor(node, i))),
      grads: slots,
      needs: inputNeeds,
    });
    node.inputs.forEach((input, i) => {
      const grad = inputGrads[i];
      if (grad !== undefined && inputNeeds[i]) accumulate(input, sumTo(grad, input.shape));
    });
  }
  return wrt.map((t) => grads.get(t.node)?.[t.index]);
}

/** The region's nodes made anew on first use, so that what they computed before need not be kept until now. */
function recompute(
  region: CheckpointRegion,
  done: Map<CheckpointRegion, Map<GraphNode, Tensor[]>>,
): (t: Tensor) => Tensor {
  let copies = done.get(region);
  if (copies === undefined) {
    copies = new Map();
    done.set(region, copies);
    for (const node of region.nodes) {
      const { id: _id, region: _region, ...rest } = node;
      const inputs = node.inputs.map((t) => copies!.get(t.node)?.[t.index] ?? t);
      copies.set(node, addNode({ ...rest, inputs }));
    }
  }
  return (t) => copies.get(t.node)?.[t.index] ?? t;
}

/** Sums a gradient over the dimensions along which its tensor was broadcast. */
function sumTo(grad: Tensor, shape: readonly number[]): Tensor {
  const lead = grad.shape.length - shape.length;
  const axes = grad.shape.map((_, i) => i).filter((i) => i < lead || (shape[i - lead] === 1 && grad.shape[i] !== 1));
  const reduced = axes.length === 0 ? grad : sum(grad, axes, true);
  return reduced.shape.join() === shape.join() ? reduced : reshape(reduced, shape);
}

/** Every node that `root` depends on, inputs first. */
export function nodesBelow(...roots: GraphNode[]): GraphNode[] {
  const seen = new Set<GraphNode>();
  const stack = [...roots];
  while (stack.length > 0) {
    const node = stack.pop()!;
    if (seen.has(node)) continue;
    seen.add(node);
    for (const input of node.inputs) stack.push(input.node);
  }
  return [...seen].sort((a, b) => a.id - b.id);
}

/**
 * Gradient checkpointing (Chen et al. 2016, arXiv:1604.06174): `fn`'s inner values are not kept for the backward pass but
 * computed again there. The result is bit for bit the same. Of what `fn` gives, one tensor or several in any form, others may read any: it
 * is kept for them, and `fn` learns from all of them.
 */
export function checkpoint<A extends unknown[], R>(fn: (...args: A) => R): (...args: A) => R {
  needFunctions('checkpoint', { fn });
  return (...args) => withRegion(() => fn(...args));
}

/**
 * `fn` with its gradient: `valueAndGrad(fn)(params, …rest)` gives what `fn(params, …rest)` gives and a tree of gradients
 * for those leaves of `params` that `trainable` allows (default: all). Leaves the loss does not depend on are left out.
 */
export function valueAndGrad<P extends Tree<Tensor>, A extends unknown[], R extends { readonly loss: Tensor }>(
  fn: (params: P, ...rest: A) => R,
  trainable: (path: string) => boolean = () => true,
): (params: P, ...rest: A) => { value: R; grads: Tree<Tensor> } {
  needFunctions('valueAndGrad', { fn, trainable });
  return (params, ...rest) => {
    const value = fn(params, ...rest);
    const leaves = treeEntries<Tensor>(params).filter(([path]) => trainable(path));
    const found = gradients(
      value.loss,
      leaves.map(([, tensor]) => tensor),
    );
    const entries = leaves.flatMap(([path], i): [string, Tensor][] =>
      found[i] === undefined ? [] : [[path, found[i]]],
    );
    return { value, grads: treeFromEntries(entries) };
  };
}
