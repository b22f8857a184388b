"""Seconds and memory to open a large folder of images: searched, and from the list that is kept.

Hard links of empty files in the layout and with the names of ImageNet-21k, 21,841 folders of them; each opening is a
process of its own. Memory is the processes' share of what they map (PSS) beyond that of one that has opened nothing.

    python benchmarks/lists.py DIR [--images 1000000] [--rounds 3]

DIR is made, takes no room but for its entries, and is removed in the end.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from assemble.paired import conditions, spread

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = 21_841
LINKS = 60_000
"""Of one file; ext4 allows 65,000."""
OPEN = """
import json, sys, time
from pathlib import Path
from assemble.data.folders import ImageFolder, class_folders

def share():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024

before, start, busy = share(), time.perf_counter(), time.process_time()
train = Path(sys.argv[1])
found = ImageFolder(train, class_folders(train), cache=Path(sys.argv[2]))
seconds, busy = time.perf_counter() - start, time.process_time() - busy
opened = share() - before
count = len(found.digest()) and len(found.files)
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


def opening(top: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", OPEN, str(top / "train"), str(top / "cache")]
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
    args = parser.parse_args()
    args.folder.mkdir(parents=True)
    try:
        make(args.folder, args.images)
        time.sleep(4)  # fresh folders are not trusted
        print(f"{args.images:,} images in {FOLDERS:,} folders; {conditions()}")
        cold, warm = [], []
        for _ in range(args.rounds):
            shutil.rmtree(args.folder / "cache", ignore_errors=True)
            for taken in (cold, warm):
                with opening(args.folder) as process:
                    taken.append(told(process))
        for name, taken in (("searched", cold), ("kept", warm)):
            for place, what in enumerate(("seconds", "of the processor", "seconds with the digest")):
                print(f"{name}: {spread([values[place] for values in taken], 2)} {what}")
            print(f"{name}: {spread([values[3] / 1e6 for values in taken], 0)} MB, one process")
        together = [opening(args.folder) for _ in range(args.ranks)]
        shares = [told(process)[4] for process in together]
        print(f"{args.ranks} ranks together, digests taken: at most {sum(shares) / 1e6:.0f} MB")
        for process in together:
            process.communicate("")
        print(conditions())
    finally:
        shutil.rmtree(args.folder)


if __name__ == "__main__":
    main()
