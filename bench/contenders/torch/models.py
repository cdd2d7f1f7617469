import torch
import torch.nn.functional as F

from device import DEVICE, tensor
from kernels import of
from values import token_ids


def steps(step):
    """Training steps; `step` gives the loss."""
    losses = []
    return {"run": lambda: losses.append(step().item()), "result": lambda: losses}


def trained_by(optimiser, loss):
    def step():
        optimiser.zero_grad()
        value = loss()
        value.backward()
        optimiser.step()
        return value

    return steps(step)


def mlp_step(p):
    batch, width, inner = p["batch"], p["width"], p["inner"]
    w1 = of([width, inner], 1, 0.0625).requires_grad_(True)
    w2 = of([inner, width], 2, 0.0625).requires_grad_(True)
    x, y = of([batch, width], 3, 1), of([batch, width], 4, 1)
    loss = lambda: (F.gelu(x @ w1, approximate="tanh") @ w2 - y).square().mean()  # noqa: E731
    return trained_by(torch.optim.SGD([w1, w2], 0.01), loss)


def language_model_step(p):
    layers, width, heads = p["layers"], p["width"], p["heads"]
    inner, words, tokens, batch = p["inner"], p["words"], p["tokens"], p["batch"]
    weight = lambda shape, seed: of(shape, seed, 0.0625).requires_grad_(True)  # noqa: E731
    ones = lambda: torch.ones(width, device=DEVICE, requires_grad=True)  # noqa: E731
    table = weight([words, width], 1000)
    blocks = [
        {
            "norm1": ones(),
            "norm2": ones(),
            **{n: weight([width, width], i * 16 + s) for s, n in enumerate(["wq", "wk", "wv", "wo"], 1)},
            "w1": weight([width, inner], i * 16 + 5),
            "w2": weight([inner, width], i * 16 + 6),
        }
        for i in range(layers)
    ]
    final = ones()
    count = batch * tokens
    ids, targets = tensor(token_ids(count, words)), tensor(token_ids(count, words, 1))
    norm = lambda h, w: F.rms_norm(h, [width], w, 1e-6)  # noqa: E731

    def loss():
        h = table[ids]
        for b in blocks:
            n = norm(h, b["norm1"])
            q, k, v = ((n @ b[w]).view(batch, tokens, heads, -1).transpose(1, 2) for w in ("wq", "wk", "wv"))
            attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            h = h + attended.transpose(1, 2).reshape(count, width) @ b["wo"]
            h = h + F.gelu(norm(h, b["norm2"]) @ b["w1"], approximate="tanh") @ b["w2"]
        return F.cross_entropy(norm(h, final) @ table.T, targets)

    trained = [table, *(w for b in blocks for w in b.values()), final]
    return trained_by(torch.optim.Adam(trained, 1e-3, eps=1e-8), loss)


OPS = {"mlpStep": mlp_step, "languageModelStep": language_model_step}
