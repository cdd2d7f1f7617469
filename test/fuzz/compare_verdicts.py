"""What the official readers say of inputs that the fuzzer kept: nothing may be accepted that they refuse, but for reasons listed here.

    npm run fuzz -- safetensors npz --count 20000 --keep /tmp/kept
    python test/fuzz/compare_verdicts.py /tmp/kept        # needs safetensors and numpy, see test/fixtures/requirements.txt
"""

import collections
import json
import pathlib
import re
import sys

import numpy
from safetensors import safe_open

# What numpy refuses and we take on purpose: an array is read in pieces, without the rest, so its checksum is not known.
WIDER = {"npz": [r"Bad CRC-32"], "safetensors": []}


def read_safetensors(path):
    with safe_open(path, framework="np") as file:
        return {name: file.get_slice(name).get_shape() for name in file.keys()}


def read_npz(path):
    with numpy.load(path, allow_pickle=False) as file:
        return {name: file[name].shape for name in file.files}


def main(kept):
    bad = 0
    for name, read in {"safetensors": read_safetensors, "npz": read_npz}.items():
        counts = collections.Counter()
        stricter = collections.Counter()
        for line in (kept / name / "verdicts.jsonl").read_text().rstrip("\n").split("\n"):
            verdict = json.loads(line)
            path = kept / name / verdict["files"][0]
            try:
                read(path)
                official = None
            except Exception as error:  # whatever it is: it was refused
                official = f"{type(error).__name__}: {error}"
            ours = "accepted" if verdict["accepted"] else "refused"
            theirs = "accepted" if official is None else "refused"
            if ours == "accepted" and official is not None:
                if any(re.search(reason, official) for reason in WIDER[name]):
                    theirs = "refused for a reason that is listed"
                else:
                    bad += 1
                    print(f"{path}: accepted, but the official reader says {official}")
            if ours == "refused" and official is None:
                reason = re.sub(r"\d+", "N", re.sub(r"^[^:]*: [^:]*: ", "", verdict["problem"]))
                stricter[reason[:110]] += 1
            counts[f"ours {ours}, theirs {theirs}"] += 1
        print(name, dict(counts))
        for reason, count in stricter.most_common(25):
            print(f"  stricter, {count} times: {reason}")
    sys.exit(1 if bad else 0)


main(pathlib.Path(sys.argv[1]))
