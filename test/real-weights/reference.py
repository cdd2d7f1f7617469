#!/usr/bin/env python3
"""What an independent implementation (transformers, float32 on the dequantised blocks) says about the real weights.

    python test/real-weights/install.py
    python test/real-weights/reference.py       # needs test/fixtures/requirements.txt; about 2.5 GB of memory, minutes

Writes reference.json and reference.safetensors beside this file (committed: small) and full-logits.safetensors beside
the weights (3 x 262,144 floats, not committed). Formats: README.md.
"""

import json
import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers
from install import FILE_NAME, SHA256, cache_folder
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).resolve().parent
NEW_TOKENS, TOP, SAMPLE, LONG_TOKENS = 32, 1000, 4096, 640


def greedy(model, ids: torch.Tensor) -> tuple[torch.Tensor, list[int], list[float]]:
    """Next-token logits [V], NEW_TOKENS greedy ids, and how far each was ahead of its runner-up."""
    out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=NEW_TOKENS,
                         output_logits=True, return_dict_in_generate=True)
    new = out.sequences[0, ids.shape[1]:].tolist()
    assert len(new) == NEW_TOKENS, "the prompt ended early: choose another"
    best = [step[0].topk(2).values for step in out.logits]
    with torch.no_grad():
        logits = model(ids, use_cache=False).logits[0, -1]
    return logits, new, [(b[0] - b[1]).item() for b in best]


def per_token_loss(model, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        logits = model(ids, use_cache=False).logits[0, :-1]
        return torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")


def main() -> None:
    torch.set_num_threads(2)
    folder = cache_folder()
    texts = json.loads((HERE / "prompts.json").read_text(encoding="utf-8"))
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=FILE_NAME)
    model = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=FILE_NAME, dtype=torch.float32, attn_implementation="eager").eval()

    prompts, tensors, full = [], {}, {}
    generator = torch.Generator().manual_seed(0)
    sample = torch.randperm(model.config.vocab_size, generator=generator)[:SAMPLE].sort().values
    tensors["sample_indices"] = sample.to(torch.int32)
    for index, text in enumerate(texts["greedy"]):
        ids = tokenizer(text, return_tensors="pt").input_ids
        logits, new, margins = greedy(model, ids)
        top = logits.topk(TOP)
        full[f"logits.{index}"] = logits.clone()
        tensors |= {f"top_indices.{index}": top.indices.to(torch.int32), f"top_logits.{index}": top.values.clone(),
                    f"sample_logits.{index}": logits[sample].clone()}
        double = logits.double()
        prompts.append({
            "text": text, "ids": ids[0].tolist(), "next": new[0], "greedy": new, "greedyText": tokenizer.decode(new),
            "smallestMargin": min(margins), "norm": double.norm().item(), "mean": double.mean().item(),
            "logSumExp": double.logsumexp(0).item(),
        })
        print(text, "->", prompts[-1]["greedyText"], min(margins), flush=True)

    long_ids = tokenizer(texts["long"], return_tensors="pt").input_ids[:, :LONG_TOKENS]
    losses = per_token_loss(model, long_ids)
    tensors |= {"long_ids": long_ids[0].to(torch.int32), "long_losses": losses}
    print("long", long_ids.shape, losses.mean().item())

    reference = {
        "file": FILE_NAME, "sha256": SHA256,
        "by": {"transformers": transformers.__version__, "torch": torch.__version__, "dtype": "float32",
               "attention": "eager"},
        "embedScale": model.model.embed_tokens.embed_scale.item(),
        "prompts": prompts,
        "long": {"tokens": long_ids.shape[1], "meanLoss": losses.double().mean().item()},
        "tokenize": [{"text": text, "ids": tokenizer(text).input_ids} for text in texts["tokenize"]],
    }
    save_file(tensors, str(HERE / "reference.safetensors"))
    save_file(full, str(folder / "full-logits.safetensors"))
    (HERE / "reference.json").write_text(json.dumps(reference, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
