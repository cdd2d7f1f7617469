/**
 * How a product is shared out.
 * - `plain`: a tile of registers an invocation, straight from storage. Right on adapters of the CPU.
 * - `plain16`: the same with 16 × 16 results, half the loads; compiles for longer.
 * - `quad`: four invocations of `plain16` side by side share what they load: half the loads again.
 * - `subgroup`: eight invocations of an adapter of the CPU share what they load.
 * - `subgroup32`: the same with 32 or 16 rows of results, which read B that much less often; for more than 8 rows.
 * - `workgroup64`, `workgroup128`: 64 × 64 or 128 × 128 results a workgroup, from slices in workgroup memory. For GPUs.
 * - `sliced`: K is shared out among invocations. For GPUs and results of few rows or columns.
 * - `split`: K is shared out among workgroups of `workgroup64`, whose sums are then added up. For GPUs and small results of a long K.
 * - `matrix64`, `matrix128`: 64 × 64 or 128 × 128 results a workgroup, by subgroup matrices (tensor cores); f32 values are two f16.
 * - `half64`, `half128`: the same with values rounded to f16. Where `DeviceProfile.matmulPrecision` allows it.
 */
export type MatmulVariant =
  | 'plain'
  | 'plain16'
  | 'quad'
  | 'subgroup'
  | 'subgroup32'
  | 'workgroup64'
  | 'workgroup128'
  | 'sliced'
  | 'split'
  | 'matrix64'
  | 'matrix128'
  | 'half64'
  | 'half128';
