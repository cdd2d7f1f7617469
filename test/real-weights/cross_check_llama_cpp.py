#!/usr/bin/env python3
"""A second opinion on reference.json: llama.cpp itself (PyPI `llama-cpp-python`, built from its sdist).

    python test/real-weights/cross_check_llama_cpp.py     # after install.py and reference.py; writes llama-cpp.json

llama.cpp multiplies quantised weights with activations rounded to 8 bits, so its logits are near, not equal: what this
pins is that tokenisation, architecture and constants are the same, not the last digits.
"""

import json
from pathlib import Path

import llama_cpp
import numpy as np
from install import FILE_NAME, cache_folder
from safetensors.numpy import load_file

HERE = Path(__file__).resolve().parent


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def main() -> None:
    folder = cache_folder()
    reference = json.loads((HERE / "reference.json").read_text(encoding="utf-8"))
    full = load_file(str(folder / "full-logits.safetensors"))
    model = llama_cpp.Llama(str(folder / FILE_NAME), n_ctx=256, n_threads=2, logits_all=True, verbose=False)

    prompts = []
    for index, prompt in enumerate(reference["prompts"]):
        assert model.tokenize(prompt["text"].encode(), add_bos=True, special=True) == prompt["ids"]
        model.reset()
        model.eval(prompt["ids"])
        first = np.array(model.scores[len(prompt["ids"]) - 1], dtype=np.float64)
        theirs = full[f"logits.{index}"].astype(np.float64)
        greedy, logits = [], first
        for _ in prompt["greedy"]:
            greedy.append(int(logits.argmax()))
            model.eval(greedy[-1:])
            logits = model.scores[model.n_tokens - 1]
        prompts.append({"text": prompt["text"], "cosine": cosine(first, theirs),
                        "centredCosine": cosine(first - first.mean(), theirs - theirs.mean()),
                        "greedy": greedy, "sameGreedy": greedy == prompt["greedy"]})
    tokenize = [{"text": case["text"], "ids": model.tokenize(case["text"].encode(), add_bos=True, special=True)}
                for case in reference["tokenize"]]
    different = [case["text"] for case, ours in zip(tokenize, reference["tokenize"]) if case["ids"] != ours["ids"]]
    result = {"by": {"llama-cpp-python": llama_cpp.__version__}, "prompts": prompts, "tokenize": tokenize,
              "tokenizedDifferently": different}
    (HERE / "llama-cpp.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps({"cosines": [p["cosine"] for p in prompts], "centred": [p["centredCosine"] for p in prompts],
                      "sameGreedy": [p["sameGreedy"] for p in prompts], "tokenizedDifferently": different}, indent=1))


if __name__ == "__main__":
    main()
