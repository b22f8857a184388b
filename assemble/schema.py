"""The typed configuration: every key of the command line with its type and default, stated once.

Imports nothing heavy, so that a misspelt key is answered at once. The YAML files beside this one hold only what
differs from these defaults; tricks bring their own dataclasses (``tricks/<name>.py``).
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from assemble.bounds import bounded


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
    """Crops of folders: ``torchvision``'s, ``official`` as Assemble-ResNet's code, ``small`` as CIFAR's."""

    torchvision = "torchvision"
    official = "official"
    small = "small"


class Cache(Enum):
    """Where decoded images stay: in memory that a machine's processes share, or the training images on the device."""

    ram = "ram"
    device = "device"


class Border(Enum):
    """What comes in where an image is moved: its border repeated, black, or the image mirrored at its border."""

    edge = "edge"
    zeros = "zeros"
    reflect = "reflect"


class OnBadImage(Enum):
    """What is done about an image file that cannot be decoded: the run ends, or it is left out from the start."""

    error = "error"
    skip = "skip"


class Interpolation(Enum):
    """How evaluated images of a folder are resized, antialiased, with torchvision's crop (timm often: bicubic)."""

    bilinear = "bilinear"
    bicubic = "bicubic"


class TrainInterpolation(Enum):
    """How training crops are resized, antialiased: ``random`` draws one of the two for each image, as timm does."""

    bilinear = "bilinear"
    bicubic = "bicubic"
    random = "random"


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
    _target_: str | None = None
    """What builds the network in the place of ``name``: my_package.nets.Net, any nn.Module or function."""
    args: dict[str, Any] = field(default_factory=dict)
    """Keywords of ``_target_``, of a plug-in's network or of timm's: drop_path_rate, act_layer, ..."""
    num_classes: int | None = None
    """Outputs. None: as many as the data set has classes."""
    # Not every family takes each of these; None is the model's own.
    width: int | None = None
    """Channels of the first stage (64; 16 of the CIFAR nets; 32 of MobileNet)."""
    blocks: list[str] | None = None
    """Stages of an EfficientNet, as timm writes them: ir_r2_k3_s2_e6_c24_se0.25."""
    stem: Stem = Stem.auto
    """How the network begins: imagenet, small, or auto, which is small up to 64 pixels."""
    padding: Padding | None = None
    """How strided layers pad. None: torch."""
    init: Init | None = None
    """Whose initial weights. None: tensorflow."""
    bn_momentum: float | None = None
    """Batch norm's, in PyTorch's convention: the paper's 0.997 is 0.003 here. None: 0.1."""
    bn_eps: float | None = None
    """What batch norm adds to the variance. None: 1e-5."""
    checkpoint: str | None = None
    """Start from these weights (.ckpt, .pt, .pth or .safetensors), or from timm's: timm:NAME or timm:NAME.TAG."""
    pretrained: bool | str = False
    """Start from timm's weights of this network: true, or a tag of timm's such as a1_in1k; they are downloaded."""
    new_head: bool = False
    """Begin the classifier anew: that of the weights is for other classes."""
    restore_statistics: bool = True
    """Take batch norm's moving mean and variance from the weights; false: they begin anew."""
    freeze: int | None = bounded(None, least=0)
    """Stages that stay as they are: 0 the stem alone, 2 the stem and the first two stages."""


@dataclass
class DataConfig:
    """The images. ``batch_size`` is global: the images of one optimizer step, over all devices."""

    name: str = "digits"
    """Of the data set; ``data=NAME`` sets it."""
    _target_: str | None = None
    """What opens the data set in the place of ``name``: my_package.sets.open_birds, a function of this group."""
    args: dict[str, Any] = field(default_factory=dict)
    """Keywords of ``_target_``, or of a plug-in's data set."""
    root: str | None = None
    """Where the data set lies: a folder, an archive (.tar, .zip), or s3://bucket/path; the CSV file of data=list."""
    cache_dir: str | None = None
    """Folder of what is kept between runs: what stores gave, decoded images, indices. None: ~/.cache/assemble."""
    cache_limit: float | None = bounded(None, above=0)
    """Most gigabytes of fetched files that cache_dir may have, of all data sets. None: what the disk has."""
    classes: Any = None
    """Only these classes, labelled in this order: a list of names, or a file with a name in each line. None: all."""
    download: bool = False
    """Download what data.root lacks, where torchvision knows from where."""
    preprocessing: Preprocessing = Preprocessing.torchvision
    """Whose crops: torchvision's, official, as TensorFlow 1 makes them, or small, as CIFAR's (imagefolder)."""
    image_size: int = bounded(32, least=1)
    """Side of the training images, and where nothing else is said of the evaluated ones."""
    eval_size: int | None = bounded(None, least=1)
    """Side of the evaluated images; None: image_size."""
    batch_size: int = bounded(64, least=1)
    """Images of one optimizer step, over all devices and accumulation steps."""
    num_workers: int = bounded(0, least=0)
    """Processes that load images, for each device; 0: the training process does."""
    cache: Cache | None = None
    """Decode once: into memory that all processes share (ram), or padded and cropped ones onto the device (device)."""
    train_share: float = bounded(1.0, above=0, most=1)
    """Share of each class that is trained on, at least one image; scored are all."""
    train_share_seed: int = bounded(0, least=0)
    """Seed by which the share is drawn."""
    val_share: float | None = bounded(None, least=0, below=1)
    """Validate on this share of each class of train/, so that what is scored is not chosen on (imagefolder, list)."""
    val_share_seed: int = bounded(0, least=0)
    """Seed by which that share is drawn."""
    folds: int | None = bounded(None, least=2)
    """Deal the training images to so many folds, each class evenly: one is validated on, the others are trained on."""
    fold: int | None = bounded(None, least=0)
    """Which of the folds is validated on, from 0; it is scored as well, where there are no other images for that."""
    fold_seed: int = bounded(0, least=0)
    """Seed by which the images are dealt."""
    flip: float = bounded(0.5, least=0, most=1)
    """Probability of a horizontal flip in training."""
    vflip: float = bounded(0.0, least=0, most=1)
    """Probability of a vertical flip in training, after it."""
    crop_scale: tuple[float, float] = bounded((0.08, 1.0), count=2, rising=True, above=0, most=1)
    """Least and largest share of the area that a random crop keeps (imagefolder)."""
    crop_ratio: tuple[float, float] = bounded((0.75, 1.3333333333333333), count=2, rising=True, above=0)
    """Least and largest ratio of a random crop's width to its height."""
    train_interpolation: TrainInterpolation = TrainInterpolation.bilinear
    """How training crops of torchvision's kind are resized: bilinear, bicubic, or random, as timm (imagefolder)."""
    crop_pad: int = bounded(4, least=0)
    """Random shift in pixels for images that are small already (digits, or preprocessing=small)."""
    border: Border | None = None
    """What a random shift brings in: edge, zeros or reflect. None: edge for digits, zeros for the others."""
    # Evaluation: the shorter side is resized to eval_size / eval_crop, or to eval_resize, then the centre is cropped.
    eval_crop: float | None = bounded(None, above=0, most=1)
    """Side of the evaluation crop over the shorter side before it. None: 0.875, where there is no eval_resize."""
    eval_resize: int | None = bounded(None, least=1)
    """The shorter side in pixels before the evaluation crop, in the place of eval_crop."""
    eval_squeeze: bool = False
    """Squeeze whole evaluated images into the square of eval_size, in the place of a crop (imagefolder)."""
    eval_interpolation: Interpolation = Interpolation.bilinear
    """How evaluated images are resized: bilinear or bicubic."""
    exif_orientation: bool = False
    """Turn images as their EXIF orientation says; false: as torchvision, which takes them as they lie (imagefolder)."""
    white: float | None = bounded(None, above=0)
    """What is white in greys of more than 8 bits and in floats. None: 255, 4095 or 65535 by the image; 1 of floats."""
    verify: bool = False
    """Read header and end of every image of all splits before anything else, so that none is found bad in the end."""
    on_bad_image: OnBadImage = OnBadImage.error
    """An image that cannot be decoded ends the run (error) or is left out, for which all are decoded first (skip)."""
    mean: tuple[float, float, float] = bounded((123.675, 116.28, 103.53), count=3)
    """Of each channel on the 0-255 scale, subtracted on the device."""
    std: tuple[float, float, float] = bounded((58.395, 57.12, 57.375), count=3, above=0)
    """Of each channel on the 0-255 scale, divided by on the device."""
    label_offset: int = bounded(0, least=0)
    """1 where output 0 is a background class (the official 1001-way ImageNet head)."""

    @property
    def scored_size(self) -> int:
        """Side of the images that the network is scored on."""
        return self.eval_size or self.image_size


@dataclass
class OptimConfig:
    """The optimizer and its per-step schedule. ``lr`` is the peak for the global batch: it is never rescaled."""

    name: str = "sgd"
    """The optimizer: one of ``--help optim``, or any of timm's by timm's name."""
    lr: float = bounded(0.1, above=0)
    """The peak learning rate, for the global batch: it is never rescaled."""
    momentum: float = bounded(0.9, least=0, below=1)
    """Momentum, of optimizers that have one."""
    nesterov: bool = False
    """Nesterov's momentum, of sgd."""
    weight_decay: float = bounded(1e-4, least=0)
    """Weight decay."""
    decay_rule: DecayRule = DecayRule.official
    """What decays: official (all but batch norm), weights (all but biases and norms) or all."""
    layer_decay: float | None = bounded(None, above=0, most=1)
    """Each layer's learning rate over that of the layer after it; None: all alike."""
    args: dict[str, Any] = field(default_factory=dict)
    """The optimizer's other arguments: betas, eps, alpha, ..."""
    schedule: str = "cosine"
    """How the learning rate falls: cosine, step, exponential, polynomial, linear or constant."""
    warmup_epochs: float = bounded(1.0, least=0)
    """Epochs of a linear warm-up."""
    warmup_lr: float = bounded(0.0, least=0)
    """Where the warm-up begins."""
    min_lr: float = bounded(0.0, least=0)
    """Where the decay ends."""
    milestones: tuple[float, ...] = (30.0, 60.0, 90.0)
    """Epochs at which ``step`` multiplies by ``gamma``."""
    gamma: float | None = bounded(None, above=0)
    """None: 0.1 for ``step``, 0.97 for ``exponential``."""
    decay_epochs: float = bounded(2.4, above=0)
    """``exponential`` multiplies by ``gamma`` every so many epochs, counted from the first."""
    staircase: bool = True
    """Whether ``exponential`` falls at once; false: a little at every step."""
    power: float = bounded(2.0, above=0)
    """Exponent of ``polynomial``."""


@dataclass
class TrainerConfig:
    """What goes to Lightning's Trainer, and how the step is run."""

    max_epochs: int = bounded(15, least=1)
    """Epochs of the whole training."""
    max_steps: int | None = bounded(None, least=1)
    """Optimizer steps of the whole training, which the schedule then spans, in the place of max_epochs."""
    val_every_epochs: int = bounded(1, least=1)
    """Epochs from one validation to the next; the last one is always validated."""
    devices: int = bounded(1, least=1)
    """Devices of each node."""
    num_nodes: int = bounded(1, least=1)
    """Machines."""
    accelerator: str = "auto"
    """auto, cpu, gpu, mps or any other of Lightning's."""
    strategy: str = "auto"
    """Lightning's strategy: auto, ddp, ..."""
    precision: str = "32-true"
    """32-true, bf16-mixed, 16-mixed or any other of Lightning's."""
    loss_scale: float | None = bounded(None, above=0)
    """Fixed loss scale of 16-mixed (the paper: 128); None: found while training."""
    accumulate_grad_batches: int = bounded(1, least=1)
    """Forward passes of one optimizer step on each device."""
    gradient_clip_val: float | None = bounded(None, above=0)
    """Largest norm of the gradient; None: any."""
    sync_batchnorm: bool = False
    """Batch norm over the images of all devices."""
    channels_last: bool = True
    """Keep channels last in memory, which is faster."""
    compile: bool = False
    """Compile the network by torch.compile."""
    deterministic: bool = False
    """Use deterministic algorithms alone."""
    log_every_n_steps: int = bounded(20, least=1)
    """Optimizer steps between two logged rows."""
    monitors: list[str] = field(default_factory=list)
    """What else is logged with the loss: grad_norm, images_per_second, memory, time_left."""
    allow_other_micro_batch: bool = False
    """Go on with other micro-batches than the run began with, though batch norm then sees other batches."""
    checkpoint_minutes: float | None = bounded(10.0, above=0)
    """Minutes until a checkpoint is written in mid-epoch: what a kill loses at most; None: at epochs' ends alone."""
    limit_train_batches: int | float = bounded(1.0, above=0)
    """Share of an epoch's steps (0.1; 1.0 is all), or how many of them (1 is one), for a quick try."""
    overfit_batches: int | None = bounded(None, least=1)
    """Train on the first so many batches alone, in every epoch the same: can the network learn them by heart?"""
    args: dict[str, Any] = field(default_factory=dict)
    """Other keywords of Lightning's Trainer: profiler, detect_anomaly, gradient_clip_algorithm, max_time, ..."""
    progress_bar: bool = True


@dataclass
class RobustnessConfig:
    """What robustness is scored on. It changes no weights, so a finished run may be asked for it later."""

    batch_size: int | None = bounded(None, least=1)
    """Images per device; None: as in training."""
    corruptions: Corruptions | None = None
    """Which corrupted images are scored: imagenet_c, imagenet_p, cifar_c or on_the_fly; None: none."""
    corruptions_root: str | None = None
    """Folder of a published set."""
    # Of on_the_fly alone:
    corruptions_extra: bool = False
    """The 4 extra corruptions too, beside the 15."""
    corruptions_preset: Preset | None = None
    """Whose strengths. None: cifar up to 32 pixels, tiny up to 64, imagenet above."""
    corruptions_jpeg: bool = False
    """A round trip through JPEG of quality 85, as the published set had it."""
    frost_textures: str | None = None
    """Folder of the published frost images; None: what packages have, or drawn."""


@dataclass
class EvalConfig(RobustnessConfig):
    """How the trained network is scored."""

    weights: Weights = Weights.last
    """Which weights are scored at the end: last, or best on the validation set."""
    ece_bins: int = bounded(15, least=1, most=10_000)
    """Bins of the expected calibration error; the official code uses 10."""
    throughput: bool = False
    """Measure images/s of the trained network in inference (batch 64, float32, as the paper)."""


@dataclass
class Config:
    """All of it."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    logger: dict[str, Any] = field(default_factory=dict)
    callbacks: dict[str, Any] = field(default_factory=dict)
    tricks: dict[str, Any] = field(default_factory=dict)
    drop: list[str] = field(default_factory=list)
    """Tricks of the recipe to leave out."""
    plugins: list[str] = field(default_factory=list)
    """Packages of yours whose tricks, networks and data sets can be named."""
    seed: int = bounded(0, least=0, below=2**63)
    """Of weights, order and augmentations."""
    tag: str | None = None
    """A word of yours in the run's name, by which the report filters; runs that differ in it alone are two."""
    explain: bool = False
    """Print what would be built, and stop."""
    plot: str | None = None
    """A folder for plots of the schedule, the moving strengths and a training batch."""
    prepare: bool = False
    """Compute what training would compute first (stored logits of a teacher), and stop."""
    output_dir: str = "runs"
    """The folder of run directories."""
    reported: dict[str, Any] = field(default_factory=dict)
    """A recipe's published numbers."""


# --- evaluate.py


@dataclass
class ScoreConfig(RobustnessConfig):
    """What is scored of a trained network."""

    split: ScoredSplit = ScoredSplit.test
    """Which images are scored: test or val."""
    averaged: bool | None = None
    """Score the average of the weights; false: the raw ones; None: those that the run scores."""
    flip: bool = False
    """The mean of the logits of each image and its mirror image."""
    translate: int = bounded(0, least=0)
    """Half of the logits are of the image moved by so many pixels, up and left, or down and right; 0: none."""
    baseline: str | None = None
    """The evaluation.json of another network, to whose robustness this one's is compared."""
    predict: list[str] = field(default_factory=list)
    """Name what is in these images or folders of them, score nothing."""
    cam: bool = False
    """Draw where ``predict`` looks, as class activation maps."""


@dataclass
class DeviceConfig:
    """Where the network runs."""

    accelerator: str = "auto"
    """auto, cpu, gpu or mps."""
    precision: str = "32-true"
    """32-true, bf16-mixed or 16-mixed."""
    progress_bar: bool = True


@dataclass
class EvaluateConfig:
    """All that evaluate.py takes. ``data`` begins as the network wants its images, and as its run had it."""

    checkpoint: str | None = None
    """A checkpoint of a run."""
    model: str | None = None
    """A network that others have trained: timm:NAME, timm:NAME@WEIGHTS or efficientnet_lite0."""
    plugins: list[str] = field(default_factory=list)
    """Packages of yours whose data sets can be named; those of the network's run are known."""
    data: DataConfig = field(default_factory=DataConfig)
    eval: ScoreConfig = field(default_factory=ScoreConfig)
    trainer: DeviceConfig = field(default_factory=DeviceConfig)
    output_dir: str = "evaluations"
