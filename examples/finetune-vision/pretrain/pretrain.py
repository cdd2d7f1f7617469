"""Trains the small base model from random weights with Hugging Face transformers, so that the example begins as users do: with a
checkpoint that somebody else's implementation wrote.

usage: pretrain.py ROWS_FILE TOKENIZER_DIR OUT_DIR [STEPS [START_DIR]]      (transformers 5.23, torch 2.15)
"""
import base64
import functools
import io
import json
import math
import random
import shutil
import sys

import numpy
import torch
from PIL import Image
from tokenizers import Tokenizer
from transformers import GemmaConfig, PaliGemmaConfig, PaliGemmaForConditionalGeneration, SiglipVisionConfig

rows_file, tokenizer_dir, out = sys.argv[1:4]
steps = int(sys.argv[4]) if len(sys.argv) > 4 else 5000
start = sys.argv[5] if len(sys.argv) > 5 else None
BATCH, RATE, LENGTH = 32, 5e-4 if start else 2e-3, 16
torch.manual_seed(1)
random.seed(1)

tokenizer = Tokenizer.from_file(f"{tokenizer_dir}/tokenizer.json")
vocab, image_token = tokenizer.get_vocab_size(), tokenizer.token_to_id("<image>")
special = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 1}
vision = SiglipVisionConfig(hidden_size=96, intermediate_size=192, num_hidden_layers=2, num_attention_heads=3, patch_size=14,
                            image_size=56, vision_use_head=False)
text = GemmaConfig(vocab_size=vocab, hidden_size=128, intermediate_size=256, num_hidden_layers=3, num_attention_heads=4,
                   num_key_value_heads=1, head_dim=32, max_position_embeddings=256, **special)
config = PaliGemmaConfig(vision_config=vision, text_config=text, projection_dim=128, hidden_size=128, vocab_size=vocab,
                         image_token_index=image_token, **special)
model = PaliGemmaForConditionalGeneration(config)
with torch.no_grad():
    for name, parameter in model.named_parameters():
        # Embeddings are multiplied by √d on the way in.
        if "embed_tokens" in name or parameter.dim() > 1 and "embedding" not in name:
            parameter.normal_(0, parameter.shape[1] ** -0.5)
if start:
    model = PaliGemmaForConditionalGeneration.from_pretrained(start, dtype=torch.float32)



@functools.cache
def encode(text: str) -> list[int]:
    return tokenizer.encode(text).ids


patches = (56 // 14) ** 2
pixels, examples = [], []
for line in open(rows_file, encoding="utf-8"):
    row = json.loads(line)
    pixels.append(numpy.asarray(Image.open(io.BytesIO(base64.b64decode(row["png"])))).transpose(2, 0, 1))
    for task in row["tasks"]:
        prompt = [2, *encode(task["prompt"]), *encode("\n")]
        answer = [*encode(task["completion"]), 1]
        assert len(prompt) + len(answer) <= LENGTH, task
        examples.append((len(pixels) - 1, prompt, answer))
pixels = torch.from_numpy(numpy.stack(pixels))
held = examples[-400:]
examples = examples[:-400]


def batch_of(chosen: list) -> dict[str, torch.Tensor]:
    width = patches + max(len(p) + len(a) for _, p, a in chosen)
    made = {k: torch.full((len(chosen), width), v) for k, v in
            (("input_ids", 0), ("labels", -100), ("token_type_ids", 1), ("attention_mask", 0))}
    for i, (_, prompt, answer) in enumerate(chosen):
        start, end = patches + len(prompt), patches + len(prompt) + len(answer)
        made["input_ids"][i, :end] = torch.tensor([image_token] * patches + prompt + answer)
        made["labels"][i, start:end] = torch.tensor(answer)
        made["token_type_ids"][i, :start] = 0
        made["attention_mask"][i, :end] = 1
    made["pixel_values"] = pixels[[c[0] for c in chosen]].float() / 127.5 - 1
    return made


optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.01, fused=True)
warmup = 100
schedule = torch.optim.lr_scheduler.LambdaLR(
    optimizer, lambda s: min(1, (s + 1) / warmup) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1, s / steps)))))
model.train()
order: list = []
for step in range(1, steps + 1):
    if len(order) < BATCH:
        order = random.sample(examples, len(examples))
    chosen, order = order[:BATCH], order[BATCH:]
    loss = model(**batch_of(chosen)).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    optimizer.zero_grad()
    if step % 100 == 0 or step == steps:
        model.eval()
        with torch.no_grad():
            data = batch_of(held)
            logits = model(**data).logits[:, :-1]
            labels = data["labels"][:, 1:]
            right = ((logits.argmax(-1) == labels) | (labels < 0)).all(1)
            by_task: dict[str, list[bool]] = {}
            for (_, prompt, _), ok in zip(held, right.tolist()):
                by_task.setdefault(tokenizer.decode(prompt[1:2]), []).append(ok)
        model.train()
        print(step, f"{loss.item():.3f}", f"{right.float().mean().item():.3f}",
              {k: round(sum(v) / len(v), 2) for k, v in by_task.items()}, flush=True)

# Published as official weights are: bf16.
model.to(torch.bfloat16).save_pretrained(out)
for name in ("tokenizer.json", "tokenizer_config.json"):
    shutil.copy(f"{tokenizer_dir}/{name}", f"{out}/{name}")
