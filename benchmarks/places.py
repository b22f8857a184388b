"""Our SK unit, blur, DropBlock and mixup against other ways to write them: milliseconds forward and backward.

    python benchmarks/places.py [--rounds 15] [--threads N]

Shapes are those of ResNet-50 at 224x224, batch 8, float32. Every form must give what ours gives, to 1e-6 of its largest
number (SK: 1e-5; DropBlock: from the same noise). The ratio is ours over the other form, round by round: below 1, ours
is faster.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from assemble.paired import conditions, interleave, ratios, spread  # noqa: E402

Form = Callable[..., Tensor]


def forms() -> dict[str, tuple[tuple[int, ...], dict[str, Form]]]:
    """Place -> shape of the input, and the forms; ours first."""
    from assemble.models.families import spec_of
    from tricks.anti_alias import Blur
    from tricks.dropblock import drop_block
    from tricks.mixup import mix_pairs
    from tricks.sk import SelectiveKernel

    torch.manual_seed(0)
    sk = SelectiveKernel(spec_of("resnet50"), 64, 64, 1, 2, 32).train()
    for name in ("conv", "bn", "act"):  # the same in every form, and ten times the rest
        setattr(sk, name, nn.Identity())
    blur = Blur(256, 2, 3)
    kernel = blur.kernel.contiguous()
    noise, lam = torch.rand(1, 512, 22, 22), torch.rand(64)

    def attention(pooled: Tensor) -> Tensor:
        return sk.fc2(sk.act_fc1(sk.bn_fc1(sk.fc1(pooled))))

    def sk_stacked(x: Tensor) -> Tensor:
        both = torch.stack(x.chunk(2, dim=1), 1)
        weights = attention(both.sum(1).mean((2, 3), keepdim=True)).unflatten(1, (2, -1)).softmax(1)
        return (both * weights).sum(1)

    def sk_summed(x: Tensor) -> Tensor:
        first, second = x.chunk(2, dim=1)
        weights = attention((first + second).mean((2, 3), keepdim=True)).unflatten(1, (2, -1)).softmax(1)
        return first * weights[:, 0] + second * weights[:, 1]

    def blur_pools(x: Tensor) -> Tensor:
        return F.avg_pool2d(F.avg_pool2d(x, 2, 1), 2, 2, padding=1, count_include_pad=False)

    def blur_slices(x: Tensor) -> Tensor:
        x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        x = x[:, :, 0:-2:2] + 2 * x[:, :, 1:-1:2] + x[:, :, 2::2]
        return (x[..., 0:-2:2] + 2 * x[..., 1:-1:2] + x[..., 2::2]) / 16

    def blur_copied(x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), kernel, stride=2, groups=256)

    def drop_square(x: Tensor) -> Tensor:
        gamma = 0.1 * 28 * 28 / 7**2 / 22**2
        mask = 1 - F.max_pool2d(F.pad((noise < gamma).to(x.dtype), (6, 6, 6, 6)), 7, 1)
        return x * mask * (mask.numel() / mask.sum())

    def drop_pools(x: Tensor) -> Tensor:
        gamma = 0.1 * 28 * 28 / 7**2 / 22**2
        seeds = F.pad((noise < gamma).to(x.dtype), (6, 6, 6, 6))
        mask = 1 - F.max_pool2d(F.max_pool2d(seeds, (7, 1), 1), (1, 7), 1)
        return x * (mask * (mask.numel() / mask.sum()))

    def mix_plain(x: Tensor) -> Tensor:
        a, b = x.chunk(2)
        weight = lam[: len(a)].view(-1, 1, 1, 1)
        return weight * a + (1 - weight) * b

    def mix_in_place(x: Tensor) -> Tensor:
        a, b = x.detach().clone().chunk(2)  # overwriting the caller's images would be a surprise
        return a.lerp_(b, 1 - lam[: len(a)].view(-1, 1, 1, 1))

    def mix_ours(x: Tensor) -> Tensor:
        a, b = x.chunk(2)
        return mix_pairs(a, b, lam[: len(a)])

    return {
        "SK, behind its conv": (
            (8, 128, 56, 56),
            {"ours": sk, "two products": sk_summed, "stack and softmax": sk_stacked},
        ),
        "blur": (
            (8, 256, 56, 56),
            {"ours": blur, "own kernel copies": blur_copied, "two pools": blur_pools, "slices": blur_slices},
        ),
        "DropBlock": (
            (8, 512, 28, 28),
            {
                "ours": lambda x: drop_block(x, 0.9, 7, 1.0, noise),
                "square max-pool": drop_square,
                "two max-pools": drop_pools,
            },
        ),
        "mixup": ((128, 3, 224, 224), {"ours": mix_ours, "two products": mix_plain, "copy, in place": mix_in_place}),
    }


def once(form: Form, x: Tensor, backward: bool) -> float:
    """Milliseconds of one call; with one thread, those it had the processor, whatever else runs."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    y = form(x)
    if backward:
        y.backward(torch.ones_like(y))
        x.grad = None
    return (clock() - start) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, help="PyTorch's threads; 1 on a busy machine")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(f"{conditions()}, {torch.get_num_threads()} threads; median (min-max) ms, and ours over the form")
    for place, (shape, kinds) in forms().items():
        for layout in (torch.channels_last, torch.contiguous_format):
            x = torch.randn(shape).to(memory_format=layout).requires_grad_(place != "mixup")
            backward = x.requires_grad
            print(f"{place} {shape}, {'channels last' if layout is torch.channels_last else 'NCHW'}")
            ours = kinds["ours"](x).detach()
            for name, form in kinds.items():
                off = float((form(x).detach() - ours).abs().max() / ours.abs().max())
                # The SK unit has a batch norm over 8 numbers, which enlarges the noise of float32.
                assert off <= (1e-5 if place.startswith("SK") else 1e-6), (place, name, off)
            cases = {name: partial(once, form, x, backward) for name, form in kinds.items()}
            interleave(cases, 2)
            times = interleave(cases, arguments.rounds)
            for name in kinds:
                ratio = spread(ratios(times["ours"], times[name]), 2)
                print(f"  {name:18} {spread(times[name], 1):32} {ratio if name != 'ours' else ''}")
                if statistics.median(times["ours"]) > 1.05 * statistics.median(times[name]):
                    print(f"  {'':18} ours is slower than this one")
    print(conditions())


if __name__ == "__main__":
    main()
