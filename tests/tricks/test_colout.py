"""ColOut against its definition: int((1 - p) side) rows and columns of the batch, in their order."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from assemble.errors import UserError
from assemble.planning.plan import make_plan
from tests.helpers import teachers
from tests.helpers.small_run import small_config
from tricks import create
from tricks.colout import ColOut, kept


@pytest.mark.parametrize(
    ("side", "dropped", "left"), [(224, 0.15, 190), (176, 0.05, 167), (100, 0.0, 100), (7, 0.99, 1)]
)
def test_how_many_stay(side, dropped, left):
    """The numbers of Composer's ``int((1 - p) * side)``."""
    positions = kept(side, dropped, np.random.default_rng(0))
    assert len(positions) == left
    assert (np.diff(positions) > 0).all()


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_same_rows_and_columns_of_all_images(layout):
    """Each pixel holds its position, so what stays tells where it came from."""
    rows, columns = torch.meshgrid(torch.arange(20.0), torch.arange(30.0), indexing="ij")
    images = torch.stack([rows, columns, rows * columns]).expand(4, 3, 20, 30).contiguous(memory_format=layout)
    out = ColOut(p_row=0.3, p_col=0.5).on_device(images, np.random.default_rng(1))
    assert out.shape == (4, 3, 14, 15)
    assert out.is_contiguous(memory_format=layout)
    first = out[0]
    assert all(torch.equal(image, first) for image in out)
    assert (first[0] == first[0][:, :1]).all()  # a row is a row of the image
    assert (first[1] == first[1][:1]).all()
    assert (first[0][:, 0].diff() > 0).all()
    assert (first[1][0].diff() > 0).all()
    torch.testing.assert_close(first[2], first[0] * first[1])


def test_draws_follow_the_generator():
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    once, twice = (ColOut().on_device(images, np.random.default_rng(seed)) for seed in (3, 3))
    assert torch.equal(once, twice)
    assert not torch.equal(once, ColOut().on_device(images, np.random.default_rng(4)))


def test_out_of_range_and_off():
    with pytest.raises(UserError, match=r"tricks\.colout\.p_row must be at least 0 and below 1, not 1"):
        ColOut(p_row=1.0)
    with pytest.raises(UserError, match="drop it"):
        make_plan(teachers.small(), create({"colout": {"p_row": 0.0, "p_col": 0.0}}))


def test_refused_where_a_network_takes_images_of_one_size():
    cfg = small_config()
    fixed = replace(cfg, model=replace(cfg.model, name="coatnet_0", width=None), data=replace(cfg.data, image_size=32))
    make_plan(fixed, [])
    with pytest.raises(UserError, match=r"takes images of one size, .* none of 27x27"):
        make_plan(fixed, create(["colout"]))
