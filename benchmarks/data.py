"""Images per second and core of the training input pipeline, by what the images lie in.

The JPEG files of `benchmarks/input.py` (500x375 pixels) are read from folders, from a tar and a zip of them, from
WebDataset's shards and from parquet files (where the library datasets is installed), decoded, cropped, flipped and
collated to batches of 64 of 224x224, in one process on one thread (processor time is told; the files are in the
page cache), in interleaved rounds. Beside them torchvision's pipeline on PIL images, from the folders.

    python benchmarks/data.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import json
import sys
import tarfile
import tempfile
import zipfile
from functools import partial
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from input import BATCH, seconds, torchvisions, write_images
from torch.utils.data import DataLoader

from assemble.paired import conditions, interleave, ratios, spread, verdict
from assemble.schema import DataConfig
from lit_modules.datamodule import ClassifierData

SHARDS = 4
LEAST = 0.95
"""Of the folder's images per second."""


def files_of(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def write_tar(folders: Path, root: Path) -> Path:
    with tarfile.open(root / "all.tar", "w") as tar:
        tar.add(folders, ".")
    return root / "all.tar"


def write_zip(folders: Path, root: Path) -> Path:
    with zipfile.ZipFile(root / "all.zip", "w") as archive:
        for file in files_of(folders):
            archive.write(file, file.relative_to(folders))
    return root / "all.zip"


def write_shards(folders: Path, root: Path) -> Path:
    for split in ("train", "val"):
        files = files_of(folders / split)
        for number in range(SHARDS if split == "train" else 1):
            with tarfile.open(root / f"{split}-{number:06d}.tar", "w") as tar:
                for file in files[number :: SHARDS if split == "train" else 1]:
                    key = file.relative_to(folders / split).with_suffix("")
                    label = json.dumps({"label": key.parts[0]}).encode()
                    about = tarfile.TarInfo(f"{key}.json")
                    about.size = len(label)
                    tar.addfile(about, BytesIO(label))
                    tar.add(file, key.with_suffix(file.suffix))
    return root


def write_parquet(folders: Path, root: Path) -> Path:
    import datasets

    datasets.disable_progress_bars()
    for split, name in {"train": "train", "val": "validation"}.items():
        files = files_of(folders / split)
        names = sorted({file.parent.name for file in files})
        features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=names))
        rows = {
            "image": [{"bytes": f.read_bytes(), "path": str(f.relative_to(folders / split))} for f in files],
            "label": [names.index(file.parent.name) for file in files],
        }
        datasets.Dataset.from_dict(rows, features=features).to_parquet(root / f"{name}.parquet", batch_size=BATCH)
    return root


def loader_of(root: Path, name: str, cache: Path) -> DataLoader:
    cfg = DataConfig(name=name, root=str(root), image_size=224, num_workers=0, cache_dir=str(cache))
    return ClassifierData(cfg, micro_batch=BATCH).train_dataloader()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(conditions())
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_images(root / "folder", (500, 375), ".jpg")
        loaders = {"folder": loader_of(root / "folder", "imagefolder", root)}
        packings = {"tar": write_tar, "zip": write_zip, "shards": write_shards}
        if find_spec("datasets"):
            packings["parquet"] = write_parquet
        for name, pack in packings.items():
            (root / name).mkdir()
            data = "hf" if name == "parquet" else "imagefolder"
            loaders[name] = loader_of(pack(root / "folder", root / name), data, root / "cache")
        loaders["PIL"] = torchvisions(root / "folder", [], 224, (0.08, 1.0))
        taken = interleave({name: partial(seconds, loader) for name, loader in loaders.items()}, args.rounds + 1)
    taken = {name: values[1:] for name, values in taken.items()}  # the first round warms up
    for name, values in taken.items():
        over = spread(ratios(taken["PIL"], values), 2)
        print(f"{name:8s} {spread([1 / v for v in values], 0)} images/s, {over} times PIL's")
    for name in packings:
        verdict(f"time of {name} over the folder's", float(np.median(ratios(taken[name], taken["folder"]))), 1 / LEAST)
    print(conditions())


if __name__ == "__main__":
    main()
