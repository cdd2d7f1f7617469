"""The same numbers as contenders/values.ts."""
import numpy as np


def hashed(n, seed, scale, bits=24):
    def imul(a, b):
        return (a * np.uint64(b)) & np.uint64(0xFFFFFFFF)

    i = np.arange(n, dtype=np.uint64)
    x = (imul(i, 0x9E3779B1) + np.uint64((seed * 0x85EBCA6B) & 0xFFFFFFFF)) & np.uint64(0xFFFFFFFF)
    x = imul(x ^ (x >> np.uint64(16)), 0x85EBCA6B)
    x = imul(x ^ (x >> np.uint64(13)), 0xC2B2AE35)
    x = (x ^ (x >> np.uint64(16))) >> np.uint64(32 - bits)
    middle = 2.0**bits
    return ((2.0 * x.astype(np.float64) + 1 - middle) / middle * scale).astype(np.float32)


def token_ids(n, words, shift=0):
    return (np.arange(n, dtype=np.int64) + shift) * 37 % words


def sample(values, count=257):
    flat = values.reshape(-1).astype(np.float64)
    at = (np.arange(count) * (flat.size - 1)) // (count - 1)
    return [*flat[at].tolist(), float(np.sqrt(np.mean(flat * flat)))]
