"""Gemma 3 in PyTorch, as a user would write it: fused norms and attention of torch.nn.functional, autograd, torch.optim."""
import os
import tempfile

import torch
import torch.nn.functional as F

from device import DEVICE, tensor
from kernels import of
from models import steps, trained_by
from values import sample, token_ids

LORA_SLOTS = {1, 2, 3, 4, 9, 10, 11}
LORA_SCALE = 2
THETA_LOCAL, THETA_GLOBAL = 1e4, 1e6


def weights(p):
    """The list of contenders/gemma-weights.ts."""
    w, f, d = p["width"], p["inner"], p["headDim"]
    q, k = p["heads"] * d, p["kvHeads"] * d
    block = [
        ([w], 1 / 8), ([q, w], 1 / 16), ([k, w], 1 / 16), ([k, w], 1 / 16), ([w, q], 1 / 16), ([d], 1 / 8), ([d], 1 / 8),
        ([w], 1 / 8), ([w], 1 / 8), ([f, w], 1 / 16), ([f, w], 1 / 16), ([w, f], 1 / 32), ([w], 1 / 8),
    ]  # fmt: skip
    shapes = [([p["words"], w], 1 / 32), *(block * p["layers"]), ([w], 1 / 8)]
    return [of(shape, i + 1, scale, 8) for i, (shape, scale) in enumerate(shapes)]


def rope_tables(p, positions):
    half = torch.arange(0, p["headDim"], 2, device=DEVICE, dtype=torch.float64)
    tables = {}
    for name, theta in (("local", THETA_LOCAL), ("global", THETA_GLOBAL)):
        angle = positions.double()[:, None] * theta ** (-half / p["headDim"])
        angle = torch.cat([angle, angle], -1)
        tables[name] = (angle.cos().float(), angle.sin().float())
    return tables


def rotate(x, table):
    cos, sin = table
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


def norm(x, weight):
    return F.rms_norm(x, [x.shape[-1]], 1 + weight, 1e-6)


def hidden(p, ws, ids, tables, lora=None, cache=None):
    """[T, width] after the last norm. `cache`: keys and values of earlier tokens a layer, added to."""
    heads, kv, d = p["heads"], p["kvHeads"], p["headDim"]

    def linear(x, index):
        y = x @ ws[index].T
        if lora:
            a, b = lora[index]
            y = y + LORA_SCALE * ((x @ a.T) @ b.T)
        return y

    h = ws[0][ids] * p["width"] ** 0.5
    for layer in range(p["layers"]):
        at = 1 + 13 * layer
        table = tables["global" if (layer + 1) % p["globalEvery"] == 0 else "local"]
        x = norm(h, ws[at])
        q = rotate(norm(linear(x, at + 1).view(-1, heads, d).transpose(0, 1), ws[at + 5]), table)
        k = rotate(norm(linear(x, at + 2).view(-1, kv, d).transpose(0, 1), ws[at + 6]), table)
        v = linear(x, at + 3).view(-1, kv, d).transpose(0, 1)
        causal = True
        if cache is not None:
            if layer in cache:
                k, v = torch.cat([cache[layer][0], k], 1), torch.cat([cache[layer][1], v], 1)
                causal = False
            cache[layer] = (k, v)
        out = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=causal, enable_gqa=True)[0]
        h = h + norm(linear(out.transpose(0, 1).reshape(-1, heads * d), at + 4), ws[at + 7])
        x = norm(h, ws[at + 8])
        inner = F.gelu(linear(x, at + 9), approximate="tanh") * linear(x, at + 10)
        h = h + norm(linear(inner, at + 11), ws[at + 12])
    return norm(h, ws[-1])


def gemma_block(p):
    ws = weights(p)
    block = ws[1:14]
    for w in block:
        w.requires_grad_(True)
    tables = rope_tables(p, torch.arange(p["tokens"], device=DEVICE))
    ids = tensor(token_ids(p["tokens"], p["words"]))
    cotangent = of([p["tokens"], p["width"]], 77, 1)

    def run():
        loss = (hidden(p, ws, ids, tables) * cotangent).sum()
        grads = torch.autograd.grad(loss, block)
        loss.item()
        return grads

    def result():
        parts = [sample(g.cpu().numpy()) for g in run()]
        return [value / part[-1] for part in parts for value in part]

    return {"run": run, "result": result}


def gemma_step(p):
    ws = weights(p)
    lora = None
    if p["rank"]:
        at = [1 + 13 * layer + slot for layer in range(p["layers"]) for slot in sorted(LORA_SLOTS)]
        lora = {
            i: (of([p["rank"], ws[i].shape[1]], 10000 + i, 1 / 32), torch.zeros(ws[i].shape[0], p["rank"], device=DEVICE))
            for i in at
        }
    trained = [t for pair in lora.values() for t in pair] if lora else ws
    for t in trained:
        t.requires_grad_(True)
    tables = rope_tables(p, torch.arange(p["tokens"], device=DEVICE))
    ids, targets = (tensor(token_ids(p["tokens"], p["words"], shift)) for shift in (0, 1))
    loss = lambda: F.cross_entropy(hidden(p, ws, ids, tables, lora) @ ws[0].T, targets)  # noqa: E731
    return trained_by(torch.optim.Adam(trained, 1e-3, eps=1e-8), loss)


def decode(p):
    ws = weights(p)
    answer = []

    @torch.no_grad()
    def run():
        answer.clear()
        cache = {}
        ids = tensor(token_ids(p["prompt"], p["words"]))
        position = 0
        while len(answer) < p["answer"]:
            tables = rope_tables(p, torch.arange(position, position + len(ids), device=DEVICE))
            position += len(ids)
            logits = hidden(p, ws, ids, tables, cache=cache)[-1:] @ ws[0].T
            ids = logits.argmax(-1)
            answer.append(ids.item())

    return {"run": run, "result": lambda: list(answer)}


def weight_loading(p):
    from safetensors.torch import load_file

    file = os.path.join(tempfile.gettempdir(), f"lapidary-bench-{p['layers']}-{p['words']}", "model.safetensors")
    loaded = {}

    def run():
        loaded.clear()
        # Copied, since a mapped file is not loaded yet.
        loaded.update({name: t.to(DEVICE, copy=True) for name, t in load_file(file).items()})

    def result():
        names = ["model.embed_tokens.weight", "model.norm.weight"]
        return [value for name in names for value in sample(loaded[name].float().cpu().numpy())]

    return {"run": run, "result": result}


OPS = {"gemmaBlock": gemma_block, "gemmaStep": gemma_step, "decode": decode, "weightLoading": weight_loading}
