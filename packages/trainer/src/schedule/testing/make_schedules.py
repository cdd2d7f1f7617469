#!/usr/bin/env python3
"""What optax, transformers and PyTorch answer for the schedules of schedule.ts; writes schedules.json beside itself.

Two environments, because their dependencies differ: `pip install optax==0.2.8`, then `pip install torch==2.15.0
transformers==5.23.0`. Each run replaces its own half of the file: `python make_schedules.py optax|torch`.
"""

import json
import sys
from pathlib import Path

OUT = Path(__file__).with_name("schedules.json")
PEAK, END = 3e-4, 3e-5
STEPS = [0, 1, 2, 5, 9, 10, 11, 37, 50, 99, 100, 101, 150]


def with_optax() -> dict:
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    import optax

    warmup = 10
    start = PEAK / (warmup + 1)
    ramp = optax.linear_schedule(start, PEAK, warmup)
    schedules = {
        "cosine": optax.warmup_cosine_decay_schedule(start, PEAK, warmup, 100, END),
        "constant": optax.join_schedules([ramp, optax.constant_schedule(PEAK)], [warmup]),
        "linear": optax.join_schedules([ramp, optax.linear_schedule(PEAK, END, 100 - warmup)], [warmup]),
        "rsqrt": optax.join_schedules([ramp, lambda t: PEAK / jnp.sqrt((40 + t) / 40)], [warmup]),
    }
    options = {"peak": PEAK, "warmupSteps": warmup, "warmupRule": "openpi", "decaySteps": 100, "end": END, "timescale": 40}
    return {f"optax {name}": case(name, options, lambda t, s=s: float(s(jnp.asarray(t)))) for name, s in schedules.items()}


def with_torch() -> dict:
    import torch
    from transformers import get_scheduler

    def curve(make):
        parameter = torch.nn.Parameter(torch.zeros(()))
        optimizer = torch.optim.SGD([parameter], lr=PEAK)
        scheduler, rates = make(optimizer), []
        for _ in range(max(STEPS) + 1):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        return lambda t: rates[t]

    options = {"peak": PEAK, "warmupSteps": 10, "warmupRule": "zero", "decaySteps": 100, "end": 0}
    names = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}
    cases = {
        f"transformers {name}": case(name, options, curve(lambda o: get_scheduler(hf, o, num_warmup_steps=10, num_training_steps=100)))
        for name, hf in names.items()
    }
    # After its end transformers' cosine rises again; optax's (and ours) stays there.
    cases["transformers cosine"]["rates"] = [rate for rate in cases["transformers cosine"]["rates"] if rate[0] <= 100]
    cases["transformers inverse_sqrt"] = case(
        "rsqrt", {**options, "timescale": 40},
        curve(lambda o: get_scheduler("inverse_sqrt", o, num_warmup_steps=10, scheduler_specific_kwargs={"timescale": 40})),
    )
    ramp = torch.optim.lr_scheduler
    cases["torch LinearLR"] = case("constant", {"peak": PEAK, "warmupSteps": 10, "warmupRule": "ramp"},
                                   curve(lambda o: ramp.LinearLR(o, start_factor=1 / 10, total_iters=9)))
    cases["torch CosineAnnealingLR"] = case(
        "cosine", {"peak": PEAK, "warmupSteps": 0, "decaySteps": 150, "end": END},
        curve(lambda o: ramp.CosineAnnealingLR(o, T_max=150, eta_min=END)))
    return cases


def case(kind: str, options: dict, rate) -> dict:
    return {"options": {"type": kind, **options}, "rates": [[step, rate(step)] for step in STEPS]}


if __name__ == "__main__":
    kept = json.loads(OUT.read_text()) if OUT.exists() else {}
    kept.update({"optax": with_optax, "torch": with_torch}[sys.argv[1]]())
    OUT.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n")
