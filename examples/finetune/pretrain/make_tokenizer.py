"""Trains the small base model's tokenizer: Gemma's form of BPE (byte fallback, spaces as ▁), 1,024 tokens.

usage: make_tokenizer.py TEXT_FILE OUT_DIR      (tokenizers 0.22)
"""
import json
import sys

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors, trainers

text, out = sys.argv[1:]
special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"]
tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
tokenizer.normalizer = normalizers.Replace(" ", "▁")
tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
bytes_ = [f"<0x{b:02X}>" for b in range(256)]
trainer = trainers.BpeTrainer(vocab_size=1024, special_tokens=special + bytes_, max_token_length=12)
# One piece a word: a space belongs to the word after it.
pieces = [p for line in open(text, encoding="utf-8") for p in line.replace(" ", "\n▁").split("\n") if p]
tokenizer.train_from_iterator(pieces, trainer)
state = json.loads(tokenizer.to_str())
state["added_tokens"] = [t for t in state["added_tokens"] if t["content"] in special]
tokenizer = Tokenizer.from_str(json.dumps(state))
tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
tokenizer.save(f"{out}/tokenizer.json")
json.dump(
    {"tokenizer_class": "GemmaTokenizer", "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>",
     "add_bos_token": True, "add_eos_token": False, "clean_up_tokenization_spaces": False},
    open(f"{out}/tokenizer_config.json", "w"), indent=2)
print(tokenizer.get_vocab_size(), tokenizer.encode("The quick brown fox: 2 apples, 3 pears.").tokens)
