"""Seconds and memory to open a large folder of images: searched, and from the list that is kept.

Hard links of empty files in the layout and with the names of ImageNet-21k, 21,841 folders of them; each opening is a
process of its own. Memory is the processes' share of what they map (PSS) beyond that of one that has opened nothing.

    python benchmarks/lists.py DIR [--images 1000000] [--rounds 3] [--listed]

DIR is made, takes no room but for its entries, and is removed in the end. With ``--listed`` only the folders are made,
and the list of as many images written: so 14 million are opened as they are when known, in minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from assemble.data.list_index import FileList, kept_list
from assemble.data.scan import stamp_of
from assemble.paired import conditions, spread

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = 21_841
LINKS = 60_000
"""Of one file; ext4 allows 65,000."""
OPEN = """
import json, sys, time
from pathlib import Path
from assemble.data.folders import ImageFolder, class_folders
from assemble.data.splits import digest_of

def share():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024

before, start, busy = share(), time.perf_counter(), time.process_time()
train = Path(sys.argv[1])
found = ImageFolder(train, class_folders(train), cache=Path(sys.argv[2]))
seconds, busy = time.perf_counter() - start, time.process_time() - busy
opened = share() - before
if sys.argv[3] == "digest":
    found.digest()
else:  # all but the sizes of a sample of the files
    digest_of(found.files, found.labels)
count = len(found.files)
whole = time.perf_counter() - start
print(json.dumps([seconds, busy, whole, opened, share() - before, count]), flush=True)
sys.stdin.read()
"""


def make(top: Path, images: int) -> None:
    sources: list[Path] = []
    for place in range(images):
        if place % LINKS == 0:
            sources.append(top / f"source{len(sources)}")
            sources[-1].touch()
        number = place % FOLDERS
        folder = f"{top}/train/n{number:08}"
        if place < FOLDERS:
            os.makedirs(folder)  # noqa: PTH103 - pathlib takes twice as long
        os.link(sources[-1], f"{folder}/n{number:08}_{place // FOLDERS:05}.JPEG")


def write_list(top: Path, images: int) -> None:
    """Write the list of images that are not there, in folders that are."""
    train, names = top / "train", [f"n{number:08}" for number in range(FOLDERS)]
    for name in names:
        (train / name).mkdir(parents=True)
    time.sleep(4)  # fresh folders are not trusted

    def find() -> FileList:
        counts = [images // FOLDERS + (place < images % FOLDERS) for place in range(FOLDERS)]
        files = [
            np.array([f"{name}/{name}_{i:05}.JPEG".encode() for i in range(count)])
            for name, count in zip(names, counts, strict=True)
        ]
        stamps = {str(folder): stamp_of(folder) for folder in (train, *(train / name for name in names))}
        return FileList(np.concatenate(files), np.repeat(range(FOLDERS), counts), Counter(), stamps)

    kept_list(train, names, names, top / "cache", find)


def opening(top: Path, last: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", OPEN, str(top / "train"), str(top / "cache"), last]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def told(process: subprocess.Popen[str]) -> list[float]:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--listed", action="store_true")
    args = parser.parse_args()
    last = "digest of names and labels" if args.listed else "digest"
    args.folder.mkdir(parents=True)
    try:
        if args.listed:
            write_list(args.folder, args.images)
        else:
            make(args.folder, args.images)
            time.sleep(4)  # fresh folders are not trusted
        print(f"{args.images:,} images in {FOLDERS:,} folders; {conditions()}")
        opened: dict[str, list[list[float]]] = {"kept": []} if args.listed else {"searched": [], "kept": []}
        for _ in range(args.rounds):
            if not args.listed:
                shutil.rmtree(args.folder / "cache", ignore_errors=True)
            for taken in opened.values():
                with opening(args.folder, last) as process:
                    taken.append(told(process))
        for name, taken in opened.items():
            for place, what in enumerate(("seconds", "of the processor", f"seconds with the {last}")):
                print(f"{name}: {spread([values[place] for values in taken], 2)} {what}")
            print(f"{name}: {spread([values[3] / 1e6 for values in taken], 0)} MB, one process")
        together = [opening(args.folder, last) for _ in range(args.ranks)]
        shares = [told(process)[4] for process in together]
        print(f"{args.ranks} ranks together, digests taken: at most {sum(shares) / 1e6:.0f} MB")
        for process in together:
            process.communicate("")
        print(conditions())
    finally:
        shutil.rmtree(args.folder)


if __name__ == "__main__":
    main()
