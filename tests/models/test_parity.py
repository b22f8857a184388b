"""The official TensorFlow networks, reproduced number by number, and their parameter counts."""

import numpy as np
import pytest
import torch

from assemble import create_model
from assemble.errors import UserError
from assemble.models.convert import execution_order, from_official
from tests.helpers import official

COUNTS = [  # at 64 filters and 1000 classes
    ("resnet50", {}, 25_557_032),
    ("resnet50", {"resnet_d": {}}, 25_576_264),
    ("resnet50", {"se": {}}, 28_071_976),
    ("resnet50", {"sk": {}}, 38_771_816),
    ("resnet50", {"resnet_d": {}, "sk": {}}, 38_791_048),
    ("resnet50", {"big_little": {}}, 28_403_624),
    ("resnet50", {"big_little": {}, "sk": {}}, 41_846_440),
    ("resnet50", {"big_little": {}, "sk": {}, "anti_alias": {}}, 41_846_440),
    ("resnet101", {"big_little": {}, "sk": {}, "anti_alias": {}}, 66_347_880),
    ("resnet152", {"big_little": {"alpha": 1, "beta": 2}, "sk": {}, "anti_alias": {}}, 117_004_200),
    ("resnet152", {"resnet_d": {}}, 60_212_040),
]


def small(tricks, **fields):
    return create_model("resnet50", tricks, num_classes=11, width=8, **fields)


def parameters(model) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("padding", ["torch", "tensorflow"])
@pytest.mark.parametrize("case", official.TRICKS)
def test_official_logits(case, padding):
    """Whatever the model's padding was, the official weights bring TensorFlow's with them."""
    reference = official.load(f"model_{case}")
    model = small(official.TRICKS[case], padding=padding).eval()
    model.load_state_dict(from_official(model, official.variables(case)), strict=True)
    with torch.no_grad():
        logits = model(official.images(reference["image_size"]))
    assert official.relative_error(logits, torch.tensor(reference["logits"])) < 1e-5
    assert parameters(model) == reference["trainable_parameters"]


@pytest.mark.parametrize("case", official.TRICKS)
def test_official_counts_of_the_cases(case):
    with torch.device("meta"):
        full = create_model("resnet50", official.TRICKS[case])
    assert parameters(full) == official.load(f"model_{case}")["trainable_parameters_at_64_filters_1000_classes"]


@pytest.mark.parametrize(("name", "tricks", "count"), COUNTS)
def test_official_counts(name, tricks, count):
    with torch.device("meta"):
        assert parameters(create_model(name, tricks)) == count


def test_the_logits_depend_on_the_order_of_the_layers():
    """The bound above is sharp enough to tell two swapped kernels of one shape apart."""
    reference, arrays = official.load("model_r50"), official.variables("r50")
    same = [n for n, v in arrays.items() if v.shape == (1, 1, 32, 8)]
    arrays[same[0]], arrays[same[1]] = arrays[same[1]], arrays[same[0]]
    model = small(()).eval()
    model.load_state_dict(from_official(model, arrays))
    with torch.no_grad():
        logits = model(official.images(64))
    assert official.relative_error(logits, torch.tensor(reference["logits"])) > 1e-3


def test_execution_order_visits_every_layer_once():
    model = small(("big_little", "sk", "anti_alias"))
    names = [name for name, _ in execution_order(model)]
    assert len(names) == len(set(names))
    weights = {k.rpartition(".")[0] for k, _ in model.named_parameters()}
    assert set(names) == weights
    assert names[0] == "conv1"
    assert names[-1] == "fc"


def test_optimizer_slots_and_counters_are_skipped():
    arrays = official.variables("r50")
    first = next(iter(arrays))
    more = {"global_step": np.array(7), f"{first}/Momentum": arrays[first], **arrays}
    model = small(())
    expected, got = from_official(model, arrays), from_official(model, more)
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[k], got[k]) for k in expected)


def test_too_few_variables_names_the_first_that_lacks():
    arrays = official.variables("r50")
    del arrays["resnet_model/dense/bias"]
    with pytest.raises(UserError, match=r"fc\.bias.*266 variables"):
        from_official(small(()), arrays)


def test_too_many_variables_names_the_first_without_a_place():
    arrays = official.variables("r50") | {"resnet_model/extra/kernel": np.zeros((1, 1, 8, 8))}
    with pytest.raises(UserError, match="resnet_model/extra/kernel"):
        from_official(small(()), arrays)


@pytest.mark.parametrize(
    ("tricks", "fields", "variable"),
    [
        ((), {"num_classes": 12}, "resnet_model/dense/kernel"),
        ((), {"width": 16}, "resnet_model/conv2d/kernel"),
        (("se",), {}, "resnet_model/conv2d_5/kernel"),
        (("resnet_d",), {}, "resnet_model/conv2d/kernel"),
    ],
)
def test_a_misfit_names_the_variable(tricks, fields, variable):
    model = create_model("resnet50", tricks, **{"num_classes": 11, "width": 8} | fields)
    with pytest.raises(UserError, match=f"variable {variable} "):
        from_official(model, official.variables("r50"))


def test_a_variable_of_another_kind_is_a_misfit():
    """Shapes agree (8,), but beta stands where gamma should."""
    arrays = official.variables("r50")
    names = list(arrays)
    names[1], names[2] = names[2], names[1]
    with pytest.raises(UserError, match="batch_normalization/beta"):
        from_official(small(()), {n: arrays[n] for n in names})
