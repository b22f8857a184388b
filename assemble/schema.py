"""The typed configuration: every key of the command line with its type and default, stated once.

Imports nothing heavy, so that a misspelt key is answered at once. The YAML files beside this one hold only what
differs from these defaults; tricks bring their own dataclasses (``tricks/<name>.py``).
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Library(Enum):
    """Whose network ``model.name`` is: one of ``--help model``, or any of timm's by timm's name (``model=timm``)."""

    catalogue = "catalogue"
    timm = "timm"


class Stem(Enum):
    """How a network begins: ``imagenet`` at stride 2 or 4, ``small`` one 3x3 conv at stride 1, ``auto`` by size."""

    auto = "auto"
    imagenet = "imagenet"
    small = "small"


class Padding(Enum):
    """How strided layers pad: as PyTorch does (published torch weights) or as TensorFlow's SAME (the paper)."""

    torch = "torch"
    tensorflow = "tensorflow"


class Init(Enum):
    """Initial weights, as in these codes: ``tensorflow`` is the official Assemble-ResNet's (`assemble.models.init`)."""

    tensorflow = "tensorflow"
    torchvision = "torchvision"
    xavier = "xavier"
    composer = "composer"


class Preprocessing(Enum):
    """Crops of folders of images: ``torchvision``'s, or ``official`` as the TensorFlow code of Assemble-ResNet."""

    torchvision = "torchvision"
    official = "official"


class Interpolation(Enum):
    """How evaluated images of a folder are resized, antialiased, with torchvision's crop (timm often: bicubic)."""

    bilinear = "bilinear"
    bicubic = "bicubic"


class DecayRule(Enum):
    """Decays: ``official`` all but batch norm (FC bias too); ``weights`` all but biases and norms; ``all``."""

    official = "official"
    weights = "weights"
    all = "all"


class Weights(Enum):
    """Which weights are scored at the end: those of the last epoch, or of the best epoch on the validation set."""

    last = "last"
    best = "best"


class Corruptions(Enum):
    """Images that robustness is scored on: three published sets, or the test images corrupted while loading."""

    imagenet_c = "imagenet_c"
    imagenet_p = "imagenet_p"
    cifar_c = "cifar_c"
    on_the_fly = "on_the_fly"


class Preset(Enum):
    """Strengths of the corruptions made on the fly, as published for images of 224, 64 and 32 pixels."""

    imagenet = "imagenet"
    tiny = "tiny"
    cifar = "cifar"


class ScoredSplit(Enum):
    """Images that are scored: those of test/ (without it val/'s), or those of val/."""

    test = "test"
    val = "val"


@dataclass
class ModelConfig:
    """The network; tricks then change its spec."""

    name: str = "tiny"
    library: Library = Library.catalogue
    num_classes: int | None = None  # None: as many as the data set has
    # Not every family takes each of these; None is the model's own.
    width: int | None = None  # channels of the first stage (64; 16 of the CIFAR nets; 32 of MobileNet)
    blocks: list[str] | None = None  # stages of an EfficientNet, as timm writes them: ir_r2_k3_s2_e6_c24_se0.25
    stem: Stem = Stem.auto  # auto: small up to 64 pixels
    padding: Padding | None = None  # None: torch
    init: Init | None = None  # None: tensorflow
    bn_momentum: float | None = None  # PyTorch's convention: the paper's 0.997 is 0.003 here. None: 0.1
    bn_eps: float | None = None  # None: 1e-5
    checkpoint: str | None = None  # start from these weights (.ckpt, .pt, .pth or .safetensors)
    new_head: bool = False  # not from the classifier in them: it is for other classes
    restore_statistics: bool = True  # false: batch norm's moving mean and variance begin anew
    freeze: int | None = None  # stages that stay as they are: 0 the stem alone, 2 the stem and the first two stages


@dataclass
class DataConfig:
    """The images. ``batch_size`` is global: the images of one optimizer step, over all devices."""

    name: str = "digits"
    root: str | None = None
    download: bool = False  # what data.root lacks, where torchvision knows from where
    preprocessing: Preprocessing = Preprocessing.torchvision
    image_size: int = 32  # side of the training images, and where nothing else is said of the evaluated ones
    eval_size: int | None = None  # side of the evaluated images; None: image_size
    batch_size: int = 64
    num_workers: int = 0
    train_share: float = 1.0  # share of each class that is trained on, at least one image; scored are all
    train_share_seed: int = 0  # of its drawing
    flip: float = 0.5  # probability of a horizontal flip in training
    crop_scale: tuple[float, float] = (0.08, 1.0)  # share of the area a random crop keeps (imagefolder)
    crop_ratio: tuple[float, float] = (0.75, 1.3333333333333333)
    crop_pad: int = 4  # random shift in pixels for images that are small already (digits)
    # Evaluation: the shorter side is resized to eval_size / eval_crop, or to eval_resize, then the centre is cropped.
    eval_crop: float | None = None  # None: 0.875, where there is no eval_resize
    eval_resize: int | None = None
    eval_interpolation: Interpolation = Interpolation.bilinear
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)  # on the 0-255 scale, subtracted on the device
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    label_offset: int = 0  # 1 where output 0 is a background class (the official 1001-way ImageNet head)

    @property
    def scored_size(self) -> int:
        """Side of the images that the network is scored on."""
        return self.eval_size or self.image_size


@dataclass
class OptimConfig:
    """The optimizer and its per-step schedule. ``lr`` is the peak for the global batch: it is never rescaled."""

    name: str = "sgd"  # or any of timm's, by timm's name
    lr: float = 0.1
    momentum: float = 0.9  # of optimizers that have one
    nesterov: bool = False  # of sgd
    weight_decay: float = 1e-4
    decay_rule: DecayRule = DecayRule.official
    layer_decay: float | None = None  # each layer's learning rate over that of the layer after it; None: all alike
    args: dict[str, Any] = field(default_factory=dict)  # the optimizer's other arguments: betas, eps, alpha, ...
    schedule: str = "cosine"  # cosine, step, exponential, polynomial, linear or constant
    warmup_epochs: float = 1.0
    warmup_lr: float = 0.0  # where the warm-up begins
    min_lr: float = 0.0  # where the decay ends
    milestones: tuple[float, ...] = (30.0, 60.0, 90.0)  # epochs at which ``step`` multiplies by ``gamma``
    gamma: float | None = None  # None: 0.1 for ``step``, 0.97 for ``exponential``
    decay_epochs: float = 2.4  # ``exponential`` multiplies by ``gamma`` every so many epochs, counted from the first
    staircase: bool = True  # at once; false: a little at every step
    power: float = 2.0  # of ``polynomial``


@dataclass
class TrainerConfig:
    """What goes to Lightning's Trainer, and how the step is run."""

    max_epochs: int = 15
    devices: int = 1
    num_nodes: int = 1
    accelerator: str = "auto"
    strategy: str = "auto"
    precision: str = "32-true"
    loss_scale: float | None = None  # fixed loss scale of 16-mixed (the paper: 128); None: found while training
    accumulate_grad_batches: int = 1
    gradient_clip_val: float | None = None
    sync_batchnorm: bool = False
    channels_last: bool = True
    compile: bool = False
    deterministic: bool = False
    log_every_n_steps: int = 20
    limit_train_batches: float = 1.0  # share of an epoch's steps, for a quick try
    progress_bar: bool = True


@dataclass
class RobustnessConfig:
    """What robustness is scored on. It changes no weights, so a finished run may be asked for it later."""

    batch_size: int | None = None  # images per device; None: as in training
    corruptions: Corruptions | None = None  # imagenet_c, imagenet_p, cifar_c or on_the_fly; None: not scored
    corruptions_root: str | None = None  # folder of a published set
    # Of on_the_fly alone:
    corruptions_extra: bool = False  # the 4 extra corruptions too, beside the 15
    corruptions_preset: Preset | None = None  # None: cifar up to 32 pixels, tiny up to 64, imagenet above
    corruptions_jpeg: bool = False  # a round trip through JPEG of quality 85, as the published set had it
    frost_textures: str | None = None  # folder of the published frost images; None: what packages have, or drawn


@dataclass
class EvalConfig(RobustnessConfig):
    """How the trained network is scored."""

    weights: Weights = Weights.last
    ece_bins: int = 15  # the official code uses 10
    throughput: bool = False  # measure images/s of the trained network in inference (batch 64, float32, as the paper)


@dataclass
class Config:
    """All of it."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    logger: dict[str, Any] = field(default_factory=dict)
    tricks: dict[str, Any] = field(default_factory=dict)
    drop: list[str] = field(default_factory=list)  # tricks of the recipe to leave out
    seed: int = 0
    explain: bool = False  # print what would be built, and stop
    plot: str | None = None  # a folder for images of the schedule, the moving strengths and a training batch
    prepare: bool = False  # compute what training would compute first (stored logits of a teacher), and stop
    output_dir: str = "runs"
    reported: dict[str, Any] = field(default_factory=dict)  # a recipe's published numbers


# --- evaluate.py


@dataclass
class ScoreConfig(RobustnessConfig):
    """What is scored of a trained network."""

    split: ScoredSplit = ScoredSplit.test
    averaged: bool | None = None  # true: the average of the weights, false: the raw ones; None: what the run scores
    flip: bool = False  # the mean of the logits of each image and its mirror image
    baseline: str | None = None  # the evaluation.json of another network, to whose robustness this one's is compared
    predict: list[str] = field(default_factory=list)  # name what is in these images or folders of them, score nothing
    cam: bool = False  # draw where ``predict`` looks, as class activation maps


@dataclass
class DeviceConfig:
    """Where the network runs."""

    accelerator: str = "auto"  # auto, cpu, gpu or mps
    precision: str = "32-true"  # 32-true, bf16-mixed or 16-mixed
    progress_bar: bool = True


@dataclass
class EvaluateConfig:
    """All that evaluate.py takes. ``data`` begins as the network wants its images, and as its run had it."""

    checkpoint: str | None = None  # of a run
    model: str | None = None  # timm:NAME, timm:NAME@WEIGHTS or efficientnet_lite0
    data: DataConfig = field(default_factory=DataConfig)
    eval: ScoreConfig = field(default_factory=ScoreConfig)
    trainer: DeviceConfig = field(default_factory=DeviceConfig)
    output_dir: str = "evaluations"
