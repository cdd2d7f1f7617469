"""Makes the small base model's tokenizer in PaliGemma's form: BPE with byte fallback, spaces as ▁, \\n one token, then
<loc0000> … <loc1023> and <image>.

usage: make_tokenizer.py TEXT_FILE OUT_DIR      (tokenizers 0.23)
"""
import json
import sys

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, trainers

text, out = sys.argv[1:]
special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
bytes_ = [f"<0x{b:02X}>" for b in range(256)]
tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
tokenizer.normalizer = normalizers.Replace(" ", "▁")
tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
trainer = trainers.BpeTrainer(vocab_size=4096, special_tokens=[*special, "\n", *bytes_], max_token_length=12)
# One piece a word, with a space before it or without: a word may begin a text. Between boxes there is one token.
words = sorted(set(open(text, encoding="utf-8").read().split()))
tokenizer.train_from_iterator([piece for word in words for piece in (word, "▁" + word)] * 4 + ["▁;▁"] * 9, trainer)
state = json.loads(tokenizer.to_str())
state["added_tokens"] = [t | {"special": t["content"] in special} for t in state["added_tokens"] if t["content"] in [*special, "\n"]]
tokenizer = Tokenizer.from_str(json.dumps(state))
tokenizer.add_tokens([AddedToken(f"<loc{i:04}>", normalized=False) for i in range(1024)])
tokenizer.add_special_tokens([AddedToken("<image>", normalized=False)])
tokenizer.save(f"{out}/tokenizer.json")
json.dump(
    {"tokenizer_class": "GemmaTokenizer", "bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>",
     "extra_special_tokens": ["<image>"], "clean_up_tokenization_spaces": False},
    open(f"{out}/tokenizer_config.json", "w"), indent=2)
print(tokenizer.get_vocab_size(), tokenizer.token_to_id("<image>"))
for line in ["two red circles and one blue square", "detect triangle", "\n", "3", "<loc0311><loc0055><loc0457><loc0201> triangle ; <loc0822>"]:
    print(tokenizer.encode(line).tokens)
