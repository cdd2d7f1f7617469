/** What of a run `accelerate launch` starts: reads the files beside it, and trains with TRL and PEFT. */
export const trlScript = `#!/usr/bin/env python3
"""Trains the run in this folder with TRL and PEFT, on one process or several:

    pip install "trl>=1.16" "peft>=0.21" "transformers>=5.24" accelerate
    accelerate launch train.py
    accelerate launch --multi_gpu --num_processes 2 train.py --model google/gemma-3-1b-it --out trained
    ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes 2 train.py --cpu

Every step sees the rows that run.json names for it, whatever the number of processes: they share each step's rows. The adapter, and
loss and gradient norm of each step (metrics.jsonl), go to --out. (On CPUs --multi_gpu stands for several processes.)
"""

import argparse
import json
import os
from pathlib import Path

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

HERE = Path(__file__).resolve().parent


def read_rows() -> list[dict]:
    """Token ids and labels (-100: not learned); the last one, which is empty, fills up steps that have fewer rows than others."""
    rows = [json.loads(line) for line in (HERE / "rows.jsonl").read_text().splitlines()]
    return [*rows, {"input_ids": [0], "labels": [-100]}]


def collate(rows: list[dict]) -> dict[str, torch.Tensor]:
    """Rows of a batch, padded on the right."""
    longest = max(len(row["input_ids"]) for row in rows)

    def padded(values, fill):
        return torch.tensor([list(each) + [fill] * (longest - len(each)) for each in values])

    ids = [row["input_ids"] for row in rows]
    mask = [[int(row["labels"] != [-100])] * len(row["input_ids"]) for row in rows]
    return {"input_ids": padded(ids, 0), "attention_mask": padded(mask, 0),
            "labels": padded([row["labels"] for row in rows], -100)}


def share(rows_of_step: int, most: int) -> tuple[int, int]:
    """Rows that a process takes at once, at most \`most\`, and how often in a step."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if rows_of_step % processes:
        raise SystemExit(f"A step has {rows_of_step} rows, which {processes} processes cannot share evenly: take a number that divides it.")
    own = rows_of_step // processes
    at_once = max(size for size in range(1, min(own, most) + 1) if own % size == 0)
    return at_once, own // at_once


def main() -> None:
    run = json.loads((HERE / "run.json").read_text())
    parser = argparse.ArgumentParser()
    own = HERE / "base"
    parser.add_argument("--model", default=str(own) if own.is_dir() else run["model"], help="the base: a folder or a hub id")
    parser.add_argument("--out", default=str(HERE / "out"), help="the folder that the adapter goes into")
    parser.add_argument("--cpu", action="store_true", help="train on the CPU")
    options = parser.parse_args()
    if options.model is None:
        raise SystemExit("What this run was trained on has no name that Python can open: give it with --model.")

    base = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, HERE / "adapter", is_trainable=True)
    rows = read_rows()
    order = [len(rows) - 1 if index is None else index for step in run["steps"] for index in step["rows"]]
    at_once, accumulated = share(run["rowsOfStep"], run["batchSize"])
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    adamw = run["optimizer"]
    # The scheduler multiplies by the rate of each step.
    optimizer = torch.optim.AdamW(parameters, lr=1.0, betas=adamw["betas"], eps=adamw["eps"], weight_decay=adamw["weightDecay"])
    rates = [step["learningRate"] for step in run["steps"]]
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rates[min(step, len(rates) - 1)])
    arguments = SFTConfig(
        output_dir=options.out, seed=run["seed"], max_steps=len(rates), per_device_train_batch_size=at_once,
        gradient_accumulation_steps=accumulated, train_sampling_strategy="sequential", max_grad_norm=run["clipGradNorm"] or 0.0,
        bf16=False, use_cpu=options.cpu, gradient_checkpointing=run["gradientCheckpointing"], average_tokens_across_devices=True,
        dataset_kwargs={"skip_prepare_dataset": True}, remove_unused_columns=False, max_length=None, packing=False,
        logging_steps=1, logging_first_step=True, logging_nan_inf_filter=False, save_strategy="no", report_to="none", disable_tqdm=True,
    )
    trainer = SFTTrainer(model=model, args=arguments, data_collator=collate, train_dataset=Dataset.from_list(rows).select(order),
                         processing_class=AutoTokenizer.from_pretrained(HERE / "tokenizer"), optimizers=(optimizer, scheduler))
    if trainer.is_world_process_zero():
        backend = torch.distributed.get_backend() if torch.distributed.is_initialized() else "none"
        print(f"{arguments.world_size} processes ({backend}), each {accumulated} times {at_once} rows a step, {len(rates)} steps")
    trainer.train()
    trainer.save_model(options.out)
    if trainer.is_world_process_zero():
        logged = [entry for entry in trainer.state.log_history if "loss" in entry]
        with (Path(options.out) / "metrics.jsonl").open("w") as file:
            for entry in logged:
                step = {"step": entry["step"], "loss": entry["loss"], "gradNorm": entry["grad_norm"]}
                file.write(json.dumps(step) + "\\n")


if __name__ == "__main__":
    main()
`;
