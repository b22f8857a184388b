"""Errors by corruption and severity, kept one by one, and what follows from them."""

import json
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from assemble.errors import UserError
from assemble.robustness.corruptions import CORRUPTIONS
from assemble.robustness.measure import corruption_errors, corruption_summary, perturbation_scores, perturbation_summary
from assemble.robustness.score_cache import Ledger
from assemble.robustness.scores import ALEXNET_CLEAN_ERROR, ALEXNET_ERROR, ALEXNET_ERROR_EXTRA, ALEXNET_FLIPS

LABELS = torch.tensor([0, 1, 2, 2])


class Set:
    """Four images whose values are the class that `predict` takes them for: under fog, ``severity`` wrongly."""

    names = ("fog", "frost")
    about: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __len__(self) -> int:
        return 4

    def images(self, name: str, severity: int) -> Any:
        self.asked.append(f"{name}/{severity}")
        shown = LABELS.clone()
        shown[: min(severity, 4)] += 1 if name == "fog" else 0
        return shown.float()[:, None, None, None].expand(4, 3, 2, 2)


def predict(images):
    return F.one_hot(images[:, 0, 0, 0].long(), 8).float()


def load(images):
    yield images[:3], LABELS[:3]
    yield images[3:], LABELS[3:]


def errors(data: Set, path, offset: int = 0) -> dict[str, float]:
    return corruption_errors(data, predict, load, Ledger(path), offset=offset, shown=False)


def test_errors_by_hand(tmp_path):
    found = errors(Set(), tmp_path / "l.json")
    assert [found[f"fog/{s}"] for s in range(1, 6)] == [25, 50, 75, 100, 100]
    assert [found[f"frost/{s}"] for s in range(1, 6)] == [0] * 5
    shifted = errors(Set(), tmp_path / "m.json", offset=1)
    assert shifted["fog/1"] == 75
    assert shifted["frost/1"] == 100


def test_what_was_finished_is_not_computed_again(tmp_path):
    class Killed(Set):
        def images(self, name, severity):
            if f"{name}/{severity}" == "frost/2":
                raise KeyboardInterrupt
            return super().images(name, severity)

    with pytest.raises(KeyboardInterrupt):
        errors(Killed(), tmp_path / "l.json")
    assert len(json.loads((tmp_path / "l.json").read_text())) == 6
    again = Set()
    assert errors(again, tmp_path / "l.json") == errors(Set(), tmp_path / "whole.json")
    assert again.asked == ["frost/2", "frost/3", "frost/4", "frost/5"]


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "l.json").write_text('{"fog/1": ')
    with pytest.raises(UserError, match=r"l\.json is damaged: remove it"):
        Ledger(tmp_path / "l.json")


def flat(mean: dict[str, float]) -> dict[str, float]:
    """Errors of five severities with these means."""
    return {f"{name}/{s}": value + 2 * (s - 3) for name, value in mean.items() for s in range(1, 6)}


def test_a_network_like_alexnet_has_an_mce_of_100():
    found = corruption_summary(flat({**ALEXNET_ERROR, **ALEXNET_ERROR_EXTRA}), ALEXNET_CLEAN_ERROR, imagenet=True)
    assert found["mce"] == pytest.approx(100)
    assert found["mce_19"] == pytest.approx(100)
    assert found["relative_mce"] == pytest.approx(100)
    assert found["ce"]["fog"] == pytest.approx(100)
    assert found["error"] == pytest.approx({**ALEXNET_ERROR, **ALEXNET_ERROR_EXTRA})


def test_alexnet_is_no_measure_for_other_classes():
    found = corruption_summary(flat(dict.fromkeys(CORRUPTIONS, 40.0)), 10.0, imagenet=False)
    assert found["corruption_error"] == pytest.approx(40)
    assert found["corruption_error_above_clean"] == pytest.approx(30)
    assert not {"mce", "mce_19", "relative_mce", "ce"} & set(found)
    assert "mce_19" not in corruption_summary(flat(dict.fromkeys(CORRUPTIONS, 40.0)), 10.0, imagenet=True)


def test_another_network_as_the_measure():
    reference = corruption_summary(flat(dict.fromkeys(CORRUPTIONS, 50.0)), 30.0, imagenet=False)
    found = corruption_summary(flat(dict.fromkeys(CORRUPTIONS, 40.0)), 10.0, imagenet=False, baseline=reference)
    assert found["mce_to_baseline"] == pytest.approx(80)
    assert found["relative_mce_to_baseline"] == pytest.approx(150)  # 30 above clean, where the other has 20


class Videos:
    """Each perturbation is one sequence of three frames; in the second, the class is another."""

    names = tuple(ALEXNET_FLIPS)

    def sequences(self, name: str) -> Any:
        return [torch.tensor([1, 2, 1]).float()[:, None, None, None].expand(3, 3, 2, 2)]


def test_perturbations_by_hand(tmp_path):
    data: Any = Videos()
    scores = perturbation_scores(data, predict, lambda sequences: sequences, Ledger(tmp_path / "p.json"), shown=False)
    assert scores["tilt"][0] == 100
    assert scores["gaussian_noise"][0] == 50  # against the first frame
    # One-hot logits: from (1, 0, 2, ...) to (2, 0, 1, ...) the first, second and third move by 2, 0 and 2 places.
    assert scores["tilt"][1] == 4
    assert scores["gaussian_noise"][1] == 2
    summary = perturbation_summary(scores, imagenet=False)
    assert summary["mean_flip_probability"] == pytest.approx((8 * 100 + 2 * 50) / 10)
    assert "mfr" not in summary

    def never(_: object) -> Any:
        raise AssertionError

    assert perturbation_scores(data, never, never, Ledger(tmp_path / "p.json"), shown=False) == scores


def test_mfr_and_mt5d():
    scores = {name: (value / 2, 3.0) for name, value in ALEXNET_FLIPS.items()}
    reference = perturbation_summary({name: (value, 4.0) for name, value in ALEXNET_FLIPS.items()}, imagenet=True)
    found = perturbation_summary(scores, imagenet=True, baseline=reference)
    assert found["mfr"] == pytest.approx(50)
    assert found["mfr_to_baseline"] == pytest.approx(50)
    assert found["mt5d_to_baseline"] == pytest.approx(75)
    assert found["mean_top5_distance"] == pytest.approx(3)
    assert np.mean(list(reference["fr"].values())) == pytest.approx(100)
