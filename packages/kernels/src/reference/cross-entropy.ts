/** Loss (with label smoothing), log-sum-exp and whether no class is likelier than the target of each row, and the gradient of Σ dLoss·loss, of soft-capped logits [rows, classes] in double precision. */
export function crossEntropyReference(
  logits: ArrayLike<number>,
  targets: ArrayLike<number>,
  dLoss: ArrayLike<number>,
  rows: number,
  classes: number,
  softcap: number,
  smoothing = 0,
): { loss: Float64Array; lse: Float64Array; correct: Float64Array; grad: Float64Array } {
  const loss = new Float64Array(rows);
  const lse = new Float64Array(rows);
  const correct = new Float64Array(rows);
  const grad = new Float64Array(rows * classes);
  for (let r = 0; r < rows; r++) {
    const x = Array.from({ length: classes }, (_, c) => {
      const z = logits[r * classes + c]!;
      return softcap > 0 ? softcap * Math.tanh(z / softcap) : z;
    });
    const top = Math.max(...x);
    lse[r] = top + Math.log(x.reduce((sum, v) => sum + Math.exp(v - top), 0));
    const target = targets[r]!;
    if (target < 0) continue;
    correct[r] = x[target] === top ? 1 : 0;
    const wanted = (c: number) => (c === target ? 1 - smoothing : 0) + smoothing / classes;
    loss[r] = x.reduce((sum, v, c) => sum + (wanted(c) > 0 ? wanted(c) * (lse[r]! - v) : 0), 0);
    x.forEach((v, c) => {
      const slope = softcap > 0 ? 1 - (v / softcap) ** 2 : 1;
      grad[r * classes + c] = dLoss[r]! * (Math.exp(v - lse[r]!) - wanted(c)) * slope;
    });
  }
  return { loss, lse, correct, grad };
}
