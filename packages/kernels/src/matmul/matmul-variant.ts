import type { DeviceProfile } from '@lapidary/gpu';
import { dtypeInfo } from '../dtype.js';
import { isUsable } from '../variants.js';
import { productKey, tilesOf, type MatmulProduct } from './matmul-product.js';
import type { MatmulVariant } from './matmul-variant-names.js';
import { BUSY, DEEP, matmulVariants, recordOf } from './matmul-variants.js';

/** The variant for a product on a device: the one chosen for it there, if it is among the candidates, or else that of the rule. */
export function chooseMatmulVariant(
  profile: DeviceProfile,
  product: MatmulProduct,
  options: MatmulConditions = {},
): MatmulVariant {
  const choice = profile.kernelChoices?.get(productKey(product));
  const chosen = choice && matmulCandidates(profile, product, options).find((variant) => variant === choice);
  return chosen || matmulByRule(profile, product, options);
}

/** What a caller of a product has for it. */
export interface MatmulConditions {
  /** Whether there is memory for `split`. Default true. */
  readonly canSplit?: boolean;
  /** Whether A is normalised first. Default false. */
  readonly isNormed?: boolean;
}

/** The variant that is taken where nothing was measured: of those that suit and are usable the first in precedence, or the plain one. */
export function matmulByRule(
  profile: DeviceProfile,
  product: MatmulProduct,
  options: MatmulConditions = {},
): MatmulVariant {
  const suitable = matmulVariants.filter(
    (record) => record.suits(profile, product) && canUse(profile, record.name, options),
  );
  const [first] = suitable.sort((a, b) => b.precedence - a.precedence);
  return first?.name ?? 'plain';
}

/** Variants that are worth measuring for a product on a device and usable there, that of the rule first. */
export function matmulCandidates(
  profile: DeviceProfile,
  product: MatmulProduct,
  options: MatmulConditions = {},
): readonly MatmulVariant[] {
  const usable = matmulVariants
    .filter((record) => record.isCandidate(profile, product) && canUse(profile, record.name, options))
    .map(({ name }) => name);
  return [...new Set([matmulByRule(profile, product, options), ...usable])];
}

function canUse(profile: DeviceProfile, variant: MatmulVariant, options: MatmulConditions): boolean {
  const { canSplit = true, isNormed = false } = options;
  return (
    isUsable(profile, `matmul:${variant}`) &&
    (canSplit || variant !== 'split') &&
    (!isNormed || recordOf(variant).takesNorm)
  );
}

/**
 * How `split` shares out K: in how many parts, `most` at most, of which depth (the last may be less deep). Each is as many workgroups
 * as the result has tiles.
 */
export function splitOfK(product: MatmulProduct, most: number): { readonly parts: number; readonly depth: number } {
  const { k, dtype } = product;
  const wanted = Math.ceil((2 * BUSY) / tilesOf(product, 64));
  const parts = Math.max(1, Math.min(wanted, most, Math.floor(k / DEEP)));
  // Parts begin where rows can be read: at whole blocks, and for vectors at a multiple of 8.
  const unit = Math.max(8, dtypeInfo[dtype].blockSize);
  const depth = Math.max(1, Math.ceil(k / parts / unit)) * unit;
  return { parts: Math.max(1, Math.ceil(k / depth)), depth };
}
