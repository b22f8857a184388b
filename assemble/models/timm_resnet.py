"""The places of timm's ResNets, filled in the built network as our own ResNet fills them. State_dict keys stay timm's.

timm's keywords for the same (``attn_layer``, ``aa_layer``, ``drop_block_rate``) have sites of their own: DropBlock
behind one norm of a block in the place of all, a blur in the stem besides. So the blocks' modules are set here instead:

* `attention`: behind a block's last batch norm, where it has none yet.
* `downsample`: behind the activation of the strided 3x3 convolution, which then has stride 1.
* `after_norm`: behind each batch norm of a block, and that of its shortcut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from assemble.models.spec import Site

if TYPE_CHECKING:
    from timm.models.resnet import BasicBlock, Bottleneck

    Block = BasicBlock | Bottleneck


def places(network: nn.Module) -> frozenset[str]:
    """Return those of the three places that a network of timm's has: none, where it is no ResNet of plain blocks."""
    from timm.models.resnet import BasicBlock, Bottleneck, ResNet

    if not isinstance(network, ResNet):
        return frozenset()
    blocks = [block for block, _ in _blocks(network)]
    if not all(type(block) in (BasicBlock, Bottleneck) for block in blocks):
        return frozenset()
    there = {
        "attention": all(block.se is None for block in blocks),
        "downsample": not any(_holds(block.aa) for block in blocks) and any(_strided(block) for block in blocks),
        "after_norm": not any(_holds(block.drop_block) for block in blocks),
    }
    return frozenset(place for place, has in there.items() if has)


def fill(
    network: nn.Module,
    *,
    attention: Callable[[int], nn.Module] | None = None,
    downsample: Callable[[int, int], nn.Module] | None = None,
    after_norm: Callable[[Site], nn.Module | None] | None = None,
) -> None:
    """Put these into the blocks of a ResNet of timm's that has the `places` for them."""
    for block, site in _blocks(network):
        if attention:
            block.se = attention(_norms(block)[-1].num_features)
        if downsample and (conv := _strided(block)):
            stride, conv.stride = conv.stride[0], (1, 1)
            block.aa = downsample(conv.out_channels, stride)
        if after_norm:
            for number, norm in enumerate([*_norms(block), *_norms(block.downsample)], start=1):
                if module := after_norm(site):
                    Behind(block, f"drop{number}", norm, module)


class Behind:
    """Applies a module to what another one returns. The module is the block's: it moves and is copied with it."""

    def __init__(self, block: nn.Module, name: str, after: nn.Module, module: nn.Module) -> None:
        block.add_module(name, module)
        self.module = module
        after.register_forward_hook(self)

    def __call__(self, after: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        return self.module(output)


def _holds(module: nn.Module | None) -> bool:
    return not (module is None or isinstance(module, nn.Identity))


def _blocks(network: Any) -> Iterator[tuple[Block, Site]]:
    stages = [network.layer1, network.layer2, network.layer3, network.layer4]
    total, done = sum(map(len, stages)), 0
    for number, stage in enumerate(stages, start=1):
        for block in stage:
            done += 1
            yield block, Site(number, len(stages), done / total)


def _strided(block: Any) -> nn.Conv2d | None:
    """Return the 3x3 convolution of a block that has a stride."""
    found = [m for m in block.children() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) and m.stride != (1, 1)]
    return found[0] if found else None


def _norms(block: nn.Module | None) -> list[nn.BatchNorm2d]:
    """Return the batch norms right in a block or in its shortcut, in order; there may be no shortcut."""
    return [module for module in block.children() if isinstance(module, nn.BatchNorm2d)] if block is not None else []
