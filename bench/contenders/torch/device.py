import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# f32 means f32, as in every other contender.
torch.backends.cuda.matmul.allow_tf32 = False


def idle():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def tensor(array):
    return torch.from_numpy(array).to(DEVICE)
