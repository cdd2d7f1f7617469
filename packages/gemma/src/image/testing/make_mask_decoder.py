"""Masks that PyTorch decodes with made-up weights: the official ones (vae-oid.npz) are 5 MB and need an account.

    python make_mask_decoder.py          writes mask-decoder.json beside itself

The weights are a hash of tensor and position, so that the test (made-up-weights.ts) has them without a file. The modules are
named and shaped as the arrays of vae-oid.npz; google-research/big_vision runs the same network in Flax
(evaluators/proj/paligemma/transfers/segmentation.py).
"""

import base64
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width, width, 1),
        )

    def forward(self, x):
        return x + self.net(x)


def decoder():
    layers = [nn.Conv2d(512, 128, 1), nn.ReLU(), Residual(128), Residual(128)]
    width = 128
    for channels in (128, 64, 32, 16):
        layers += [nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1), nn.ReLU()]
        width = channels
    return nn.Sequential(*layers, nn.Conv2d(width, 1, 1))


def hashed(seed, shape):
    """Uniform in [-0.5, 0.5)."""
    x = np.arange(int(np.prod(shape)), dtype=np.uint32) * np.uint32(0x9E3779B1) + np.uint32(seed)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return ((x ^ (x >> np.uint32(16))).astype(np.float64) / 2**32 - 0.5).reshape(shape)


# Name, shape and scale of every tensor; the order is the seed. Written to the fixture, where the test finds them.
def made_up(model):
    specs = [("_vq_vae._embedding", [128, 512], 2.0)]
    for name, value in model.state_dict().items():
        fan_in = 0
        if value.ndim == 4:
            transposed = name.split(".")[0] in ("4", "6", "8", "10")
            fan_in = value.shape[0] * 4 if transposed else value[0].numel()
        specs.append((f"decoder.{name}", list(value.shape), float(np.sqrt(24 / fan_in)) if fan_in else 0.2))
    return specs


def main():
    model = decoder()
    specs = made_up(model)
    tensors = {
        name: torch.from_numpy((hashed(1000 * i + 7, shape) * scale).astype(np.float32))
        for i, (name, shape, scale) in enumerate(specs)
    }
    embedding = tensors.pop("_vq_vae._embedding")
    model.load_state_dict({name.removeprefix("decoder."): value for name, value in tensors.items()})
    cases = []
    for indices in [list(range(0, 128, 8)), [127, 0, 3, 3, 64, 65, 66, 67, 1, 2, 4, 8, 16, 32, 99, 100]]:
        with torch.no_grad():
            x = embedding[indices].reshape(1, 4, 4, 512).permute(0, 3, 1, 2)
            mask = (model(x)[0, 0] * 0.5 + 0.5).clamp(0, 1)
        print(f"{(mask == 0).float().mean():.2f} at 0, {(mask == 1).float().mean():.2f} at 1")
        cases.append({"indices": indices, "mask": base64.b64encode(mask.numpy().astype("<f4").tobytes()).decode()})
    out = Path(__file__).with_name("mask-decoder.json")
    tensor_rows = [{"name": name, "shape": shape, "scale": scale} for name, shape, scale in specs]
    out.write_text(json.dumps({"tensors": tensor_rows, "cases": cases}, indent=1) + "\n")


main()
