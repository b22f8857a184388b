"""Any two tricks compose, or are refused with both names; the order in which they are listed changes nothing."""

from itertools import combinations

import numpy as np
import pytest
import torch

from assemble import create_model
from assemble.data.splits import augmented
from assemble.errors import UserError
from assemble.models.families import spec_of
from assemble.planning.resolve import resolve
from assemble.schema import OptimConfig
from lit_modules.classifier import Classifier
from lit_modules.datamodule import collate
from lit_modules.schedule import Schedule
from tests.helpers.loops import named
from tricks import create, trick_names
from tricks.base import BatchTrick, DataTrick, LossTrick, ModelTrick, OptimTrick

PAIRS = list(combinations(trick_names(), 2))
MODEL_TRICKS = [t.name for t in create(list(trick_names())) if isinstance(t, ModelTrick)]
AUGMENTATIONS = ("augmix", "autoaugment", "color_jitter", "randaugment", "trivialaugment")
STATISTICS = ("ema", "precise_bn", "swa")
REFUSED = {*combinations(AUGMENTATIONS, 2), *combinations(STATISTICS, 2)}
"""At their default parameters: ema and swa are two averages, whose statistics precise_bn measures or replaces; one
augmentation at most."""
SIZES = {"resnet20": 32, "resnet50": 64}
PROGRESS = 0.5
"""Half of the training is over: strengths that move are under way."""


def load(tricks: list[DataTrick], n: int, size: int) -> torch.Tensor:
    """A batch as the loaders bring it: uint8 (n, 3, S, S), or (n, V, 3, S, S)."""
    rngs = [np.random.default_rng([1, i]) for i in range(n)]
    tricks = [trick.at(PROGRESS) for trick in tricks]
    for trick in tricks:
        size = trick.size(size)
    images = [rng.integers(0, 256, (size, size, 3), dtype=np.uint8) for rng in rngs]
    images = [augmented(image, tricks, rng) for image, rng in zip(images, rngs, strict=True)]
    (batch,) = collate([(image,) for image in images])
    return batch


def step(tricks, name) -> None:
    """One training step: a finite loss, of which every weight has a finite gradient."""
    spec = spec_of(name, num_classes=5, width=8)
    if len(spec.depths) == 4:  # two blocks of each stage have every place that there is
        spec = spec.replace(name="short", depths=(2, 2, 2, 2))
    recipe = resolve(create(tricks), spec)
    torch.manual_seed(0)
    model = recipe.spec.build()
    mixers = recipe.of(BatchTrick)
    n = 4 * (mixers[0].images_per_target if mixers else 1)
    loaded, labels = load(recipe.of(DataTrick), n, SIZES[name]), torch.arange(n) % 5
    optim = OptimConfig()
    for trick in recipe.of(OptimTrick):
        optim = trick.settings(optim)
    classifier = Classifier(
        model,
        num_classes=5,
        optim=optim,
        schedule=Schedule("constant", 1, 1),
        data_tricks=recipe.of(DataTrick),
        batch_tricks=mixers,
        loss_tricks=recipe.of(LossTrick),
        companions=[lambda images, index: torch.full((n, 5), 0.2)] * len(recipe.of(LossTrick)),
        optim_tricks=recipe.of(OptimTrick),
    )
    batch = classifier.network_scale(loaded, labels)
    optimizer = classifier.configure_optimizers()["optimizer"]

    def closure() -> torch.Tensor:
        loss = classifier.training_loss(*batch, labels, np.random.default_rng(0), PROGRESS)
        optimizer.zero_grad()
        loss.backward()
        assert loss.isfinite()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        return loss

    optimizer.step(closure)


@pytest.mark.parametrize("name", SIZES)
def test_these_pairs_are_refused_and_the_order_of_the_others_changes_nothing(name):
    """A step depends on the tricks by what `resolve` has made of them alone, so that one order stands for both."""
    assert set(PAIRS) >= REFUSED
    base = spec_of(name, num_classes=5, width=8)
    for pair in PAIRS:
        if pair in REFUSED:
            for order in (pair, pair[::-1]):
                with pytest.raises(UserError) as error:
                    resolve(create(order), base)
                assert all(trick in str(error.value) for trick in pair)
        else:
            assert repr(resolve(create(pair), base)) == repr(resolve(create(pair[::-1]), base)), pair


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("first", trick_names())
def test_pairs_train(first, name):
    """On the second network only those which change networks: the others find a batch and a list of weights there."""
    for pair in PAIRS:
        if pair[0] == first and pair not in REFUSED and (name == "resnet20" or set(pair) & set(MODEL_TRICKS)):
            with named("+".join(pair)):
                step(pair, name)


@pytest.mark.parametrize(
    ("tricks", "place"),
    [
        ({"anti_alias": {"positions": ["projection"]}, "resnet_d": {}}, "shortcut"),
        ({"anti_alias": {"positions": ["projection"]}, "big_little": {}}, "shortcut"),
        ({"anti_alias": {"positions": ["max_pool"]}, "big_little": {}}, "pool"),
        ({"mixup": {}, "cutmix": {"kind": "permutation"}}, ""),
    ],
)
def test_parameters_that_make_tricks_collide(tricks, place):
    for order in (tricks, dict(reversed(tricks.items()))):
        with pytest.raises(UserError, match=f"(?s)(?=.*{'.*)(?=.*'.join(tricks)}).*{place}"):
            create_model("resnet50", order)


@pytest.mark.parametrize("kind", ["type1", "type2", "permutation"])
def test_cutmix_goes_with_every_kind_of_mixup(kind):
    step({"mixup": {"kind": kind}, "cutmix": {}}, "resnet20")


def test_yielding_is_recorded_with_its_reason():
    for order in (["resnet_d", "big_little"], ["big_little", "resnet_d"]):
        recipe = resolve(create(order), spec_of("resnet50"))
        steps = {s.trick: s for s in recipe.steps}
        assert steps["resnet_d"].places == ()
        assert steps["resnet_d"].reason.startswith("yields to big_little: ")
        assert set(steps["big_little"].places) == {"pool", "stage", "shortcut"}
        assert steps["big_little"].reason == ""


@pytest.mark.parametrize("name", SIZES)
def test_all_model_tricks_together_train(name):
    step(MODEL_TRICKS, name)


@pytest.mark.parametrize(
    ("trick", "model"),
    [("zero_gamma", "plain20"), ("stochastic_depth", "plain34"), ("resnet_d", "plain20")],
)
def test_a_trick_that_finds_nothing_to_change_is_refused(trick, model):
    with pytest.raises(UserError, match=f"{trick}.*{model}"):
        create_model(model, [trick])


@pytest.mark.parametrize("model", ["plain20", "plain18", "resnet18"])
def test_every_other_model_trick_works_there(model):
    works = set()
    for trick in MODEL_TRICKS:
        try:
            network = create_model(model, [trick], num_classes=5, width=8)
        except UserError:
            continue
        assert network(torch.randn(2, 3, 64, 64)).isfinite().all()
        works.add(trick)
    nothing = {"plain20": {"zero_gamma", "stochastic_depth", "resnet_d"}, "plain18": {"zero_gamma", "stochastic_depth"}}
    assert works == set(MODEL_TRICKS) - nothing.get(model, set())
