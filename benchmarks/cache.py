"""Training images per second with the images on the device, over the loader with 0 and 2 workers.

Drawn images of 32x32 pixels in memory, as of CIFAR; ``--files``: the same as PNG files in folders, also with
``data.cache=ram``. Batches of 128 are cropped, moved to the device and go through a training step of ResNet-20 of
width 4 (``--loading``: through none). Wall time, so other work on the machine counts; ratios are of the same round.

    python benchmarks/cache.py [--files] [--loading] [--images 5120] [--rounds 7] [--device cpu]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from assemble import create_model
from assemble.data import sources
from assemble.data.splits import Arrays, Source
from assemble.data.torchvision_crops import pad_and_shift, resize
from assemble.paired import conditions, interleave, ratios, spread
from assemble.schema import Border, Cache, DataConfig, Preprocessing
from lit_modules.datamodule import ClassifierData, TrainLoader
from lit_modules.device_cache import DeviceCache

BATCH, CLASSES, SIDE = 128, 10, 32


def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8), np.arange(count) % CLASSES


def arrays(cfg: DataConfig, count: int) -> Source:
    images = Arrays(*drawn(count))
    crop = partial(pad_and_shift, pad=4, flip=cfg.flip, border=Border.zeros)
    return Source([str(i) for i in range(CLASSES)], images, images, images, crop, partial(resize, size=SIDE))


def write(root: Path, count: int) -> None:
    for split, number in (("train", count), ("val", CLASSES)):
        for place, (image, label) in enumerate(zip(*drawn(number), strict=True)):
            folder = root / split / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{place}.png")


def seconds(loader: TrainLoader, step: Callable[[torch.Tensor, torch.Tensor], None], device: torch.device) -> float:
    """Per image, over the next epoch; workers have started before."""
    loader.sampler.set_epoch(loader.sampler.epoch + 1)
    count, start = 0, time.perf_counter()
    for images, labels, _ in loader:
        step(images.to(device), labels.to(device))
        count += len(images)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", action="store_true")
    parser.add_argument("--loading", action="store_true")
    parser.add_argument("--images", type=int, default=5120)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(args.device)
    network = create_model("resnet20", num_classes=CLASSES, width=4).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)

    def step(images: torch.Tensor, labels: torch.Tensor) -> None:
        if args.loading:
            return
        loss = F.cross_entropy(network(images.float().sub_(128).div_(64)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    print(conditions())
    with tempfile.TemporaryDirectory() as folder:
        if args.files:
            write(Path(folder), args.images)
        sources.SOURCES["drawn"] = partial(arrays, count=args.images)

        def loader(cache: Cache | None, workers: int) -> TrainLoader:
            name = "imagefolder" if args.files else "drawn"
            cfg = DataConfig(name=name, root=folder, num_workers=workers, preprocessing=Preprocessing.small)
            cfg.cache, cfg.cache_dir = cache, f"{folder}/cache"
            data = ClassifierData(cfg, micro_batch=BATCH)
            made = data.train_dataloader()
            if cache is Cache.device and device.type != "cpu":  # a Trainer would say so
                made.finish = DeviceCache(data.train_set, device).batches
            return made

        kinds = [(Cache.device, 0), (None, 0), (None, 2), *([(Cache.ram, 0), (Cache.ram, 2)] if args.files else [])]
        named = {f"{cache.value if cache else 'none'}, {workers} workers": (cache, workers) for cache, workers in kinds}
        loaders = {name: loader(*kind) for name, kind in named.items()}
        cases = {name: partial(seconds, made, step, device) for name, made in loaders.items()}
        taken = {name: values[1:] for name, values in interleave(cases, args.rounds + 1).items()}  # the first warms up
        first = next(iter(taken))
        for name, values in taken.items():
            print(f"{name:18s} {spread([1 / v for v in values], 0)} images/s")
        for name in list(taken)[1:]:
            print(f"{first} over {name}: {spread(ratios(taken[name], taken[first]), 2)} times as fast")
        for name in list(taken)[3:]:
            before = name.replace("ram", "none")
            print(f"{name} over {before}: {spread(ratios(taken[before], taken[name]), 2)} times as fast")
    print(conditions())


if __name__ == "__main__":
    main()
