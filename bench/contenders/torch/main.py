"""PyTorch as a contender: on CUDA where there is one, else on the CPU. Speaks the protocol of contenders/protocol.ts."""
import gc
import json
import os
import resource
import sys
import time
import traceback

protocol = sys.stdout
sys.stdout = sys.stderr

import torch  # noqa: E402

from gemma import OPS as GEMMA_OPS  # noqa: E402
from kernels import OPS as KERNEL_OPS  # noqa: E402
from models import OPS as MODEL_OPS  # noqa: E402
from device import DEVICE, idle  # noqa: E402

ops = {**KERNEL_OPS, **MODEL_OPS, **GEMMA_OPS}
task = None


def timed(times=1):
    begin = time.perf_counter()
    for _ in range(times):
        task["run"]()
        idle()
    return (time.perf_counter() - begin) * 1000


def answer(request):
    global task
    what = request["do"]
    if what == "hello":
        device = torch.cuda.get_device_name() if DEVICE == "cuda" else f"CPU, {torch.get_num_threads()} threads"
        return {
            "name": "pytorch",
            "version": torch.__version__,
            "device": device,
            "isSoftware": DEVICE == "cpu",
            "ops": list(ops),
        }
    if what == "prepare":
        task = ops[request["op"]](request["params"])
        return {"firstMs": timed(), "secondMs": timed()}
    if what == "run":
        cpu = time.process_time()
        return {"ms": timed(request["times"]), "cpuMs": (time.process_time() - cpu) * 1000}
    if what == "result":
        return {"values": task["result"]()}
    if what == "memory":
        gc.collect()
        with open("/proc/self/statm") as statm:
            resident = int(statm.read().split()[1]) * resource.getpagesize()
        used = torch.cuda.memory_allocated() if DEVICE == "cuda" else None
        return {"heap": resident, "resident": resident, **({"gpu": used} if used is not None else {})}
    task = None
    gc.collect()
    return {}


for line in sys.stdin:
    try:
        reply = answer(json.loads(line))
    except Exception:
        reply = {"error": traceback.format_exc()[-2000:]}
    print(json.dumps(reply), file=protocol, flush=True)
os._exit(0)
