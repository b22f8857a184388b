"""Distillation against the official code's numbers, its limiting cases, and as part of a run."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from assemble.data.decode import ImageFile
from assemble.data.logit_store import StoredLogits
from assemble.data.torchvision_crops import center_crop_resize
from assemble.errors import UserError
from assemble.planning.plan import make_plan
from assemble.runs.build import build_companions, build_module, build_trainer
from assemble.schema import Config
from assemble.scoring.trained import open_trained
from lit_modules.optim import build_optimizer
from tests.helpers import official
from tests.helpers.teachers import checkpoint, small
from tricks import create
from tricks.distillation import Distillation, Form, Online, Softened, Stored, distillation_loss, soften
from tricks.mixup import Kind, mixup

LOSS = {k.removeprefix("loss/"): v for k, v in official.values().items() if k.startswith("loss/")}
MIXUP = {k.removeprefix("mixup/"): v for k, v in official.values().items() if k.startswith("mixup/")}


def companion(logits: torch.Tensor, temperature: float = 1.0, background: int = 0) -> Softened:
    """A teacher with these answers, by position."""
    return Softened(Stored(StoredLogits([logits.numpy()], len(logits))), background, temperature)


def answers(of: Softened, count: int) -> torch.Tensor:
    return of(torch.zeros(count, 3, 1, 1), torch.arange(count))


# --- the numbers of the official code


@pytest.mark.parametrize("temperature", [1.0, 1.5, 2.0])
def test_official_loss(temperature):
    trick = Distillation(temperature=temperature)
    soft = answers(companion(LOSS["teacher_logits"], temperature), len(LOSS["logits"]))
    ours = trick.term(LOSS["logits"][None], soft)
    torch.testing.assert_close(ours, LOSS[f"kd_T{temperature}"], rtol=1e-5, atol=1e-5)


def test_official_teacher_labels_are_softened_and_then_mixed_like_the_labels():
    soft = answers(companion(MIXUP["teacher_logits"]), len(MIXUP["teacher_logits"]))
    rows = torch.cat([MIXUP["onehot"], soft], 1)
    _, mixed = mixup(official.nchw(MIXUP["images"]), rows, Kind.type1, MIXUP["lam1"])
    labels, teacher = mixed.split(MIXUP["onehot"].shape[1], 1)
    torch.testing.assert_close(labels, MIXUP["type1/labels"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(teacher, MIXUP["type1/teacher"], rtol=1e-5, atol=1e-5)


# --- limiting cases


def numbers(b=5, k=7):
    g = torch.Generator().manual_seed(0)
    return torch.randn(b, k, generator=g), 3 * torch.randn(b, k, generator=g)


def test_the_two_forms_differ_by_the_teachers_entropy_and_have_one_gradient():
    logits, teacher = numbers()
    soft = soften(teacher, 2.0)
    grads, losses = [], []
    for form in Form:
        student = logits.clone().requires_grad_()
        losses.append(distillation_loss(student, soft, 2.0, form))
        grads += torch.autograd.grad(losses[-1], student)
    torch.testing.assert_close(*grads)
    entropy = -(soft * soft.log()).sum(1).mean()
    torch.testing.assert_close(losses[0] - losses[1], 4 * entropy)
    by_torch = F.kl_div((logits / 2).log_softmax(1), soft, reduction="batchmean")
    torch.testing.assert_close(losses[1], 4 * by_torch)


def test_kl_is_zero_for_a_student_that_answers_as_the_teacher_and_takes_one_hot_teachers():
    _, teacher = numbers()
    assert distillation_loss(teacher, soften(teacher, 3.0), 3.0, Form.kl).abs() < 1e-5
    onehot = torch.eye(7)[:5]
    torch.testing.assert_close(distillation_loss(teacher, onehot, 1.0, Form.kl), F.cross_entropy(teacher, onehot))


def test_gradients_hardly_depend_on_a_high_temperature():
    """Hinton et al., section 2.1: with T^2 the gradient tends to (z - v) / K for centred logits z and v."""
    logits, teacher = (x - x.mean(1, keepdim=True) for x in numbers())
    student = logits.clone().requires_grad_()
    distillation_loss(student, soften(teacher, 1000.0), 1000.0).backward()
    torch.testing.assert_close(student.grad, (logits - teacher) / 7 / 5, rtol=2e-2, atol=1e-3)


def test_soft_targets():
    _, teacher = numbers()
    torch.testing.assert_close(soften(teacher, 1.0), teacher.softmax(1))
    torch.testing.assert_close(soften(teacher, 1e6), torch.full((5, 7), 1 / 7), rtol=1e-4, atol=0)
    assert soften(teacher.half(), 1.0).dtype == torch.float32


def test_a_background_class_has_logit_zero():
    _, teacher = numbers()
    soft = answers(companion(teacher, 2.0, background=1), 5)
    torch.testing.assert_close(soft, (torch.cat([torch.zeros(5, 1), teacher], 1) / 2).softmax(1))


def test_half_precision_moves_probabilities_by_less_than_the_docstring_says():
    """Logits within 16, worst and typical: half a unit in the last place is 2^-8, twice that in a probability."""
    g = torch.Generator().manual_seed(0)
    worst = torch.rand(200, 1000, generator=g) * 32 - 16
    typical = 2 * torch.randn(200, 1000, generator=g)
    for logits, bound in ((worst, 0.008), (typical, 0.004)):
        exact, stored = soften(logits.double(), 1.0), soften(logits.half(), 1.0)
        assert float((stored / exact - 1).abs().max()) < bound
        assert float((stored / exact - 1).abs().max()) > bound / 10
        assert float(torch.xlogy(exact, exact / stored).sum(1).max()) < 1e-5  # nats


# --- in a run


def plan(cfg: Config | None = None, more: dict | None = None, **parameters):
    return make_plan(cfg or small(), create({**(more or {}), "distillation": parameters}))


@pytest.fixture
def teacher(tmp_path):
    """A checkpoint and its module."""
    module = checkpoint(tmp_path / "teacher.ckpt")
    return str(tmp_path / "teacher.ckpt"), module


def batch(of, count=32):
    items = [of.data.train_set[(0, 0, i)] for i in range(count)]
    images = torch.stack([torch.from_numpy(image.copy()) for image, *_ in items]).permute(0, 3, 1, 2)
    return images, torch.tensor([label for _, label, _ in items]), torch.arange(count)


def loss(of, **more) -> torch.Tensor:
    module = build_module(of).eval()
    images, labels, index = batch(of, **more)
    return module.training_loss(*module.network_scale(images, labels), index, np.random.default_rng(0), 0.0)


def test_online_the_teacher_sees_the_students_images_in_its_own_way(teacher):
    path, module = teacher
    cfg = small(mean=(10.0, 20.0, 30.0), std=(90.0, 91.0, 92.0))
    of = plan(cfg, teacher=path, temperature=2.0)
    images, _, index = batch(of)
    student = build_module(of)
    soft = student.companions[0](student.normalise(images), index)
    with torch.no_grad():
        expected = (module(images) / 2).softmax(1)
    torch.testing.assert_close(soft, expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 1e-2


def test_online_equals_cached_where_nothing_is_augmented(teacher, tmp_path):
    path, _ = teacher
    online, cached = loss(plan(teacher=path)), loss(plan(teacher=path, cache=str(tmp_path / "c")))
    torch.testing.assert_close(online, cached, rtol=1e-4, atol=1e-4)
    assert not torch.equal(online, cached)  # float16
    # The teacher's logits are what its own evaluation gives, for every image at its position.
    of = plan(cache=str(tmp_path / "c"))
    images, _, index = batch(of, 1197)
    with torch.no_grad():
        expected = teacher[1](images)
    stored = build_companions(of)[0].source(images, index)
    torch.testing.assert_close(stored.float(), expected.half().float(), rtol=2e-3, atol=2e-3)


def test_the_loss_by_hand(teacher):
    path, module = teacher
    of = plan(teacher=path, temperature=2.0, weight=0.3, label_weight=0.6)
    student = build_module(of).eval()
    images, labels, index = batch(of)
    inputs = student.network_scale(images, labels)
    ours = student.training_loss(*inputs, index, np.random.default_rng(0), 0.0)
    with torch.no_grad():
        logits, answer = student(images), module(images)
    kd = 4 * F.cross_entropy(logits / 2, (answer / 2).softmax(1))
    torch.testing.assert_close(ours, 0.6 * F.cross_entropy(logits, labels) + 0.3 * kd, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", list(Kind))
def test_the_teacher_may_see_the_mixed_images(teacher, kind):
    """As train_imagenet.py of gluon-cv does: the images are mixed, and teacher and student get the same ones."""
    path, module = teacher
    of = plan(more={"mixup": {"kind": kind.value, "alpha": 1.0}}, teacher=path, temperature=20.0, sees_mixed=True)
    student = build_module(of).eval()
    images, labels, index = batch(of)
    mixed, _, answers = student.inputs(*student.network_scale(images, labels), index, np.random.default_rng(0), 0.0)
    with torch.no_grad():
        expected = soften(module.model(mixed), 20.0)
    torch.testing.assert_close(answers, [expected], rtol=1e-4, atol=1e-5)
    before = plan(more={"mixup": {"kind": kind.value, "alpha": 1.0}}, teacher=path, temperature=20.0)
    args = (*student.network_scale(images, labels), index, np.random.default_rng(0), 0.0)
    same, _, others = build_module(before).inputs(*args)
    assert torch.equal(same, mixed)
    assert not torch.allclose(others[0], expected, rtol=1e-4, atol=1e-5)


def test_a_cache_has_no_answers_to_mixed_images():
    with pytest.raises(UserError, match=r"cache stores answers to images that are not mixed"):
        create({"distillation": {"cache": "logits", "sees_mixed": True}})


def test_a_teacher_that_repeats_the_labels_doubles_the_loss(teacher):
    of, plain = plan(teacher=teacher[0]), make_plan(small(), [])
    module = build_module(of).eval()
    images, labels, index = batch(of)
    module.companions = [companion(1e4 * F.one_hot(labels, 10).float())]
    ours = module.training_loss(*module.network_scale(images, labels), index, np.random.default_rng(0), 0.0)
    torch.testing.assert_close(ours, 2 * loss(plain))


@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*LeafSpec", "ignore:.*logging interval")
@pytest.mark.parametrize("cached", [False, True])
def test_the_teacher_is_no_part_of_what_is_trained_or_saved(teacher, tmp_path, cached):
    path, _ = teacher
    cfg = small()
    cfg.trainer.max_epochs, cfg.trainer.limit_train_batches = 2, 0.1
    of = plan(cfg, {"mixup": {}, "label_smoothing": {}}, teacher=path, cache=str(tmp_path / "c") if cached else None)
    module, plain = build_module(of), build_module(make_plan(cfg, []))
    before = open_trained(path).digest()
    assert module.state_dict().keys() == plain.state_dict().keys()
    assert [n for n, _ in module.named_parameters()] == [n for n, _ in plain.named_parameters()]  # what DDP reduces
    assert len(list(module.buffers())) == len(list(plain.buffers()))  # ... and broadcasts
    trained = {p for group in build_optimizer(module.model, of.optim).param_groups for p in group["params"]}
    assert trained == set(module.model.parameters())
    trainer = build_trainer(
        cfg.trainer, logger=False, enable_checkpointing=False, enable_progress_bar=False, default_root_dir=tmp_path
    )
    trainer.fit(module, datamodule=of.data)
    assert np.isfinite(module.last_loss)
    if not cached:
        source = module.companions[0].source if module.companions[0] else module.companions[1].source
        assert isinstance(source, Online)
        assert source.teacher.digest() == before
        assert not source.teacher.network.training


def test_a_cache_is_of_one_training_set_one_view_and_one_teacher(teacher, tmp_path):
    path, cache = teacher[0], str(tmp_path / "c")
    build_companions(plan(teacher=path, cache=cache))
    build_companions(plan(teacher=path, cache=cache))
    build_companions(plan(cache=cache))
    build_companions(plan(small(image_size=24), cache=cache))  # the student's size is its own affair
    build_companions(plan(cache=cache, temperature=4.0, weight=2.0))

    other = small()
    other.seed = 1
    checkpoint(tmp_path / "other.ckpt", other)
    with pytest.raises(UserError, match=r"teacher tiny .* there, tiny .* here"):
        build_companions(plan(teacher=str(tmp_path / "other.ckpt"), cache=cache))
    with pytest.raises(UserError, match="size 16 pixels there, 32 pixels here"):
        build_companions(plan(teacher=path, cache=cache, size=32))
    with pytest.raises(UserError, match=r"view digits, torchvision, crop 0\.875 there, .*crop 1 here"):
        build_companions(plan(small(eval_crop=1.0), cache=cache))
    fewer = plan(cache=cache)
    fewer.data.source.train.grey[0, 0, 0] += 1
    with pytest.raises(UserError, match=r"images .* there, .* here"):
        build_companions(fewer)


def test_a_cache_needs_a_teacher_until_it_is_complete(teacher, tmp_path):
    cache = tmp_path / "c"
    with pytest.raises(UserError, match=r"no complete logits: set tricks\.distillation\.teacher"):
        build_companions(plan(cache=str(cache)))
    assert not cache.exists()
    build_companions(plan(teacher=teacher[0], cache=str(cache)))
    next(cache.glob("*.npy")).unlink()
    with pytest.raises(UserError, match="no complete logits"):
        build_companions(plan(cache=str(cache)))
    build_companions(plan(teacher=teacher[0], cache=str(cache)))
    build_companions(plan(cache=str(cache)))


def test_the_teachers_own_size_is_that_of_the_stored_view(teacher, tmp_path):
    """A student of 24 pixels; its teacher is shown the images at 16, from the original, not from the 24."""
    path, module = teacher
    of = plan(small(image_size=24), teacher=path, cache=str(tmp_path / "c"))
    stored = build_companions(of)[0].source(torch.zeros(1), torch.arange(8))
    images, _, _ = batch(plan(teacher=path), 8)
    with torch.no_grad():
        torch.testing.assert_close(stored.float(), module(images).half().float(), rtol=2e-3, atol=2e-3)


def test_images_from_a_folder(teacher, tmp_path):
    """Stored: the centre crop at the teacher's size, from the file itself. Files and their order are the key."""
    path, module = teacher
    rng = np.random.default_rng(0)
    for i in range(20):
        for split in ("train", "val"):
            folder = tmp_path / "data" / split / str(i % 10)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(folder / f"{i}.png")

    def rows(**parameters):
        cfg = small(name="imagefolder", root=str(tmp_path / "data"), image_size=24, batch_size=4)
        of = plan(cfg, cache=str(tmp_path / "c"), **parameters)
        return build_companions(of)[0].source(torch.zeros(1), torch.arange(20)).float()

    files = sorted((tmp_path / "data" / "train").rglob("*.png"), key=lambda f: (f.parent.name, f.name))
    crops = [center_crop_resize(ImageFile.read(file), size=16, short=int(16 / 0.875)) for file in files]
    with torch.no_grad():
        expected = module(torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2))
    torch.testing.assert_close(rows(teacher=path), expected, rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(rows(), expected, rtol=2e-3, atol=2e-3)
    files[0].rename(files[0].with_name("z.png"))
    with pytest.raises(UserError, match=r"c holds logits of something else: images .* there, .* here"):
        rows()


@pytest.mark.parametrize("cached", [False, True])
def test_other_classes_are_refused_with_both_numbers(teacher, tmp_path, cached):
    cfg = small()
    cfg.model.num_classes = 12
    with pytest.raises(UserError, match="teacher has 10 classes and the network 12"):
        build_companions(plan(cfg, teacher=teacher[0], cache=str(tmp_path / "c") if cached else None))
    assert not (tmp_path / "c").exists()


def test_a_teacher_without_the_background_class(teacher):
    cfg = small(label_offset=1)
    of = plan(cfg, teacher=teacher[0])
    images, _, index = batch(of)
    student = build_module(of)
    soft = student.companions[0](student.normalise(images), index)
    assert soft.shape == (32, 11)
    with torch.no_grad():
        expected = torch.cat([torch.zeros(32, 1), teacher[1](images)], 1).softmax(1)
    torch.testing.assert_close(soft, expected, rtol=1e-4, atol=1e-5)


def test_no_teacher_at_all():
    with pytest.raises(UserError, match=r"set tricks\.distillation\.teacher to a checkpoint"):
        build_companions(plan())


@pytest.mark.parametrize(
    "parameters", [{"temperature": 0.0}, {"weight": 0.0}, {"weight": -1.0}, {"label_weight": -0.1}, {"size": 0}]
)
def test_ill_values(parameters):
    with pytest.raises(UserError, match=f"distillation.{next(iter(parameters))}"):
        create({"distillation": parameters})
