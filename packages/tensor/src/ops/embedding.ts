import { embeddingGather, embeddingScatterAdd, fill, scatterRows as scatterRowsKernel } from '@lapidary/kernels';
import { addNode, formatType, needF32, needRecords, needTensors, TensorShapeError, type Tensor } from '../graph.js';

/** scale · table[ids]: table [V, d] in any storage type, ids i32 of any shape → f32 […ids, d]. An id outside the table gives zeros. */
export function embedding(table: Tensor, ids: Tensor, options: { readonly scale?: number } = {}): Tensor {
  needTensors('embedding', { table, ids });
  needRecords('embedding', { options });
  const { scale = 1 } = options;
  const [vocab, dim] = table.shape as [number, number];
  if (table.shape.length !== 2 || ids.dtype !== 'i32')
    throw new TensorShapeError('embedding', `table ${formatType(table)}, ids ${formatType(ids)}`);
  const rows = ids.size;
  return addNode({
    name: 'embedding',
    inputs: [table, ids],
    outputs: [{ shape: [...ids.shape, dim], dtype: 'f32' }],
    lower: ({ profile, inputs, outputs }) =>
      embeddingGather(profile, { table: inputs[0]!, ids: inputs[1]!, out: outputs[0]!, rows, dim, vocab, scale }),
    vjp: ({ inputs, grads }) => [
      addNode({
        name: 'embedding gradient',
        inputs: [inputs[1]!, grads[0]!],
        outputs: [{ shape: table.shape, dtype: 'f32' }],
        lower: ({ profile, inputs: [idRows, dOut], outputs: [dTable] }) => [
          ...fill(profile, { out: dTable!, n: vocab * dim, value: 0 }),
          ...embeddingScatterAdd(profile, { ids: idRows!, dOut: dOut!, dTable: dTable!, rows, dim, vocab, scale }),
        ],
      })[0],
      undefined,
    ],
  })[0]!;
}

/** A copy of `target` f32 [R, d] with row ids[i] replaced by rows[i] (ids i32 [n], rows f32 [n, d]); in place where possible. No gradient. */
export function scatterRows(target: Tensor, ids: Tensor, rows: Tensor): Tensor {
  needF32('scatterRows', { target, rows });
  needTensors('scatterRows', { ids });
  const [targetRows, dim] = target.shape as [number, number];
  const count = ids.size;
  if (target.shape.length !== 2 || rows.size !== count * dim || ids.dtype !== 'i32') {
    throw new TensorShapeError(
      'scatterRows',
      `target ${formatType(target)}, ids ${formatType(ids)}, rows ${formatType(rows)}`,
    );
  }
  return addNode({
    name: 'scatter rows',
    inputs: [target, ids, rows],
    outputs: [{ shape: target.shape, dtype: 'f32' }],
    inPlace: new Map([[0, 0]]),
    lower: ({ profile, inputs, outputs }) =>
      scatterRowsKernel(profile, {
        ids: inputs[1]!,
        rows: inputs[2]!,
        out: outputs[0]!,
        count,
        dim,
        outRows: targetRows,
      }),
  })[0]!;
}
