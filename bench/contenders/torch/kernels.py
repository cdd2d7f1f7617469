import torch
import torch.nn.functional as F

from device import tensor
from values import hashed, sample


def task(fn):
    """A function of nothing that gives a list of tensors."""
    return {"run": fn, "result": lambda: [v for t in fn() for v in sample(t.detach().float().cpu().numpy())]}


def of(shape, seed, scale, bits=24):
    n = 1
    for d in shape:
        n *= d
    return tensor(hashed(n, seed, scale, bits).reshape(shape))


@torch.no_grad()
def matmul(p):
    a = of([p["m"], p["k"]], 1, 1)
    if p["weights"] == "f32":
        b = of([p["k"], p["n"]], 2, 1, 8)
    else:
        b = of([p["n"], p["k"]], 2, 1, 8).T.contiguous()
    return task(lambda: [a @ b])


@torch.no_grad()
def half_matmul(p):
    a = of([p["m"], p["k"]], 1, 1).half()
    b = of([p["n"], p["k"]], 2, 1, 8).T.contiguous().half()
    return task(lambda: [a @ b])


def softmax(p):
    x = of([p["rows"], p["dim"]], 1, 8)
    return task(lambda: [F.softmax(x, -1)])


def rms_norm(p):
    x, w = of([p["rows"], p["dim"]], 1, 1), of([p["dim"]], 2, 1)
    return task(lambda: [F.rms_norm(x, [p["dim"]], w, 1e-6)])


def layer_norm(p):
    x, w, b = of([p["rows"], p["dim"]], 1, 1), of([p["dim"]], 2, 1), of([p["dim"]], 3, 1)
    return task(lambda: [F.layer_norm(x, [p["dim"]], w, b, 1e-5)])


def attention(p):
    shape = [p["tokens"], p["heads"], p["headDim"]]
    q, k, v = (of(shape, seed, 1).transpose(0, 1)[None] for seed in (1, 2, 3))
    if not p["backward"]:
        return task(lambda: [F.scaled_dot_product_attention(q, k, v, is_causal=True)[0].transpose(0, 1)])
    for t in (q, k, v):
        t.requires_grad_(True)

    def run():
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True).sum()
        return [g[0].transpose(0, 1) for g in torch.autograd.grad(out, [q, k, v])]

    return task(run)


OPS = {
    "matmul": matmul,
    "halfMatmul": half_matmul,
    "softmax": softmax,
    "rmsNorm": rms_norm,
    "layerNorm": layer_norm,
    "attention": attention,
}
