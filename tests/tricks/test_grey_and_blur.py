"""Random grey and Gaussian blur against torchvision, beside any augmentation, in timm's order."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as TF

from assemble.data.sampler import rng_of
from assemble.data.sources import open_source
from assemble.data.splits import TrainSet, augmented
from assemble.errors import UserError
from assemble.models.families import spec_of
from assemble.planning.resolve import resolve
from assemble.schema import DataConfig
from tests.lit_modules.test_data import smooth_image
from tricks import create
from tricks.base import DataTrick
from tricks.random_blur import RandomBlur, blurred, random_blur
from tricks.random_grey import RandomGrey, random_grey

IMAGE = np.array(smooth_image(40, 30))


def test_grey_is_torchvisions():
    expected = np.asarray(TF.to_grayscale(Image.fromarray(IMAGE), num_output_channels=3))
    np.testing.assert_array_equal(random_grey(IMAGE, 1.0), expected)
    assert random_grey(IMAGE, 0.0, generator=0) is IMAGE
    grey = sum(not np.array_equal(random_grey(IMAGE, 0.2, generator=seed), IMAGE) for seed in range(400))
    assert 48 < grey < 112  # 80 +- 4 standard deviations


@pytest.mark.parametrize("sigma", [0.1, 0.7, 2.0])
@pytest.mark.parametrize("kernel", [3, 23])
def test_blur_is_torchvisions(sigma, kernel):
    image = torch.from_numpy(IMAGE).permute(2, 0, 1)
    expected = TF.gaussian_blur(image, [kernel, kernel], [sigma, sigma]).permute(1, 2, 0).numpy()
    found = blurred(IMAGE, sigma, kernel)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (found != expected).mean() < 0.01  # halves that are rounded otherwise


def test_sigma_is_uniform_and_drawn_for_each_image():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        blurs, sigma = rng.random() < 0.5, rng.uniform(0.1, 2.0)
        expected = blurred(IMAGE, sigma, 23) if blurs else IMAGE
        np.testing.assert_array_equal(random_blur(IMAGE, generator=seed), expected)


def test_images_smaller_than_the_kernel():
    small = IMAGE[:4, :3]
    assert random_blur(small, 1.0, (2.0, 2.0)).shape == (4, 3, 3)
    flat = np.full((2, 2, 3), 77, np.uint8)
    np.testing.assert_array_equal(random_blur(flat, 1.0), flat)


def test_both_go_beside_an_augmentation_in_timms_order():
    """After the augmentation, grey before blur."""
    tricks = resolve(create(["random_blur", "random_grey", "color_jitter"]), spec_of("resnet20")).of(DataTrick)
    assert [trick.name for trick in tricks] == ["color_jitter", "random_grey", "random_blur"]
    jitter = tricks[0]
    source = open_source(DataConfig())
    data = TrainSet(source.train, source.train_crop, 32, tricks=tricks, seed=5)
    for index in range(8):
        rng = rng_of(5, 0, 0, index)
        image = source.train.load(index, lambda whole, rng=rng: source.train_crop(whole, rng, 32))
        image = random_blur(random_grey(jitter.augment(image, rng), generator=rng), generator=rng)
        np.testing.assert_array_equal(data[0, 0, index][0], image)


def test_each_view_of_several():
    tricks = create({"augmix": {}, "random_grey": {"probability": 1.0}})
    views = augmented(IMAGE, tricks, np.random.default_rng(0))  # type: ignore[arg-type]
    assert views.shape == (3, *IMAGE.shape)
    assert np.ptp(views, axis=3).max() == 0


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: RandomGrey(0.0), r"tricks\.random_grey\.probability=0\.0 does nothing"),
        (lambda: RandomBlur(0.0), r"tricks\.random_blur\.probability=0\.0 does nothing"),
        (lambda: RandomBlur(kernel=4), r"tricks\.random_blur\.kernel=4 must be odd: add 1"),
        (lambda: RandomBlur(sigma=(0.0, 1.0)), r"tricks\.random_blur\.sigma must be"),
    ],
)
def test_refused(made, message):
    with pytest.raises(UserError, match=message):
        made()
