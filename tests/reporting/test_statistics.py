"""Spreads and intervals, against published examples and limiting cases."""

import numpy as np
import pytest
from scipy import stats

from assemble.reporting.statistics import Gain, crossed, gain, holm, over, paired, spread

# Student 1908, table on p. 20: hours of sleep gained by ten patients under either of two drugs.
FIRST = dict(enumerate([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]))
SECOND = dict(enumerate([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]))


def test_students_own_example() -> None:
    """Mean difference 1.58; its 95 % interval is 0.700 to 2.460 (R: t.test(extra ~ group, sleep, paired = TRUE))."""
    found = paired(SECOND, FIRST)
    assert found is not None
    assert found.interval is not None
    assert (found.n, found.mean) == (10, pytest.approx(1.58))
    assert found.interval == pytest.approx((0.7001142, 2.4598858), abs=1e-6)
    assert found.told_apart
    assert found.bootstrap is not None
    assert found.bootstrap[0] > found.interval[0]  # narrower
    assert found.bootstrap[1] == pytest.approx(2.46, abs=0.3)


def test_only_common_seeds_are_paired_and_less_may_be_better() -> None:
    assert paired({0: 1.0, 1: 2.0, 7: 9.0}, {0: 0.5, 1: 1.0, 2: 5.0}) == gain([0.5, 1.0])
    assert paired({0: 1.0}, {0: 0.4}, sign=-1) == Gain(1, pytest.approx(-0.6))
    assert paired({0: 1.0}, {1: 1.0}) is None


def test_what_one_seed_cannot_tell() -> None:
    assert gain([2.0]) == Gain(1, 2.0)
    assert gain([2.0]).told_apart is None
    assert spread([2.0]) is not None
    assert spread([2.0]).sd is None  # type: ignore[union-attr]
    assert spread([]) is None


def test_equal_differences_have_no_interval() -> None:
    """Accuracies come in steps of one image: two equal differences do not make the third certain."""
    assert gain([1 / 3, 1 / 3]).interval is None
    assert gain([0.0, 0.0, 0.0]).told_apart is None


def test_differences_that_float32_rounds_apart_are_equal() -> None:
    """Accuracies of 10,000 images, as torchmetrics gives them: +2.13 twice, whose difference is rounding."""
    first, second = (np.float32([64.04, 12.10]).tolist(), np.float32([66.17, 14.23]).tolist())
    found = paired(dict(enumerate(second)), dict(enumerate(first)))
    assert found is not None
    assert (round(found.mean, 4), found.interval, found.p) == (2.13, None, None)
    assert gain([2.13, 2.13 + 4e-6]).interval is not None  # nothing is known of the size of what was compared


def test_seeds_that_were_compared_are_named_where_there_are_others() -> None:
    every = [(seed,) for seed in range(9)]
    assert over(every, every) == ""
    assert over(every[1:2], every) == "seed 1"
    assert over(every[1:3], every) == "seeds 1, 2"
    assert over([*every[:3], *every[5:6], *every[7:]], every) == "seeds 0-2, 5, 7, 8"
    assert over([(0, 1, 5, 0)], [(0, 1, 5, 0), (0, 2, 5, 0)]) == "1 of 2 folds"


def test_the_standard_deviation_is_the_samples() -> None:
    found = spread([1.0, 2.0, 4.0])
    assert found is not None
    assert (found.n, found.mean, found.sd) == (3, pytest.approx(7 / 3), pytest.approx(np.sqrt(7 / 3)))


def test_the_bootstrap_of_two_is_the_two() -> None:
    """Why it does not decide: of two differences it can only return those, and holds the truth half of the time."""
    found = gain([1.0, 2.0])
    assert found.bootstrap == (1.0, 2.0)
    assert found.interval is not None
    assert found.interval[0] < 0 < found.interval[1]
    assert not found.told_apart


def test_the_same_numbers_give_the_same_interval() -> None:
    assert gain([0.1, 0.5, 0.2, 0.9]) == gain([0.1, 0.5, 0.2, 0.9])


def test_orders_and_seeds_are_two_sources_of_error() -> None:
    """Without interaction the interval is Welch's, of two independent means whose sum is asked for."""
    orders, seeds = np.array([0.0, 1.0, 5.0, 2.5]), np.array([0.3, -0.2, 0.5])
    found, of_orders, of_seeds = crossed(orders[:, None] + seeds[None])
    welch = stats.ttest_ind(orders, -seeds, equal_var=False).confidence_interval()
    assert found.interval == pytest.approx((welch.low, welch.high))
    assert (of_orders, of_seeds) == (pytest.approx(stats.sem(orders)), pytest.approx(stats.sem(seeds)))


def test_all_orders_leave_the_seeds_error_alone() -> None:
    orders, seeds = np.array([0.0, 1.0]), np.array([0.3, -0.2, 0.5])
    found, of_orders, _ = crossed(orders[:, None] + seeds[None], all_rows=True)
    assert of_orders == 0
    assert found.interval == pytest.approx(gain(list(orders.mean() + seeds)).interval)


@pytest.mark.parametrize("shape", [(1, 3), (4, 1)])
def test_one_order_or_one_seed_gives_no_interval(shape: tuple[int, int]) -> None:
    found, _, _ = crossed(np.arange(shape[0] * shape[1], dtype=float).reshape(shape) ** 2)
    assert found.interval is None


def test_orders_that_are_alike_give_no_interval() -> None:
    """Two sampled orders that both begin with a trick share its runs: their equality tells nothing of the others."""
    found, of_orders, of_seeds = crossed(np.array([[0.1, 0.4, 0.2]] * 2))
    assert np.isnan(of_orders)
    assert of_seeds
    assert found.interval is None


def test_holm_is_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    rng = np.random.default_rng(0)
    for count in (1, 2, 5, 30):
        values = [float(value) for value in rng.beta(0.3, 2, count)]
        assert holm(values) == pytest.approx(list(multitest.multipletests(values, method="holm")[1]), abs=1e-15)
    assert holm([]) == []
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])  # by hand


def test_the_p_value_of_a_gain_is_scipys() -> None:
    differences = [0.5, 1.5, 0.25, 2.0]
    assert gain(differences).p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, rel=1e-12)
    assert gain([1.0]).p is None
