"""The corruptions written down plainly, pixel by pixel, from their published constants: slow, for small RGB images.

Each takes (x, rng, *constants): x float (H, W, 3) from 0 to 1, rng a RandomState, and gives floats on the same scale.
Drawn in the published code's order. What the code leaves to OpenCV's warpAffine, Canny and distance transform is not
here (tests/reference/corruptions.npz has it), nor what it leaves to Pillow's JPEG.
"""

import colorsys
import math

import numpy as np

WHITE = 255


def bytes_of(x):
    """Cut off, not rounded; a whole number that was divided by 255 before comes back as it was."""
    return np.floor(np.clip(x, 0, 1) * WHITE + 1e-9).astype(np.uint8)


def convolve(x, weights, axis, pad):
    """Correlation with an odd number of weights along one axis; the border by numpy's name of the padding."""
    reach = len(weights) // 2
    widths = [(reach, reach) if i == axis else (0, 0) for i in range(x.ndim)]
    padded = np.moveaxis(np.pad(x, widths, mode=pad), axis, 0)
    n = x.shape[axis]
    return np.moveaxis(sum(w * padded[i : i + n] for i, w in enumerate(weights)), 0, axis)


def bell(sigma, reach):
    weights = np.array([math.exp(-(i**2) / (2 * sigma**2)) for i in range(-reach, reach + 1)])
    return weights / weights.sum()


def smooth(x, sigma, truncate=4, pad="edge"):
    reach = math.floor(truncate * sigma + 0.5)
    if reach == 0:
        return x
    return convolve(convolve(x, bell(sigma, reach), 0, pad), bell(sigma, reach), 1, pad)


def each_pixel(x, function):
    return np.array([[function(*pixel) for pixel in row] for row in x])


# --- noise


def gaussian_noise(x, rng, scale):
    return x + scale * rng.standard_normal(x.shape)


def speckle_noise(x, rng, scale):
    return x * (1 + scale * rng.standard_normal(x.shape))


def shot_noise(x, rng, photons):
    return np.array([rng.poisson(value * photons) for value in x.ravel()]).reshape(x.shape) / photons


def impulse_noise(x, rng, amount):
    hit, which = rng.random_sample(x.shape), rng.random_sample(x.shape)
    values = [
        (1.0 if w < 0.5 else 0.0) if h < amount else v for v, h, w in zip(x.flat, hit.flat, which.flat, strict=True)
    ]
    return np.array(values).reshape(x.shape)


# --- blurs


def gaussian_blur(x, rng, sigma):
    return smooth(x, sigma)


def defocus_blur(x, rng, radius, alias_blur):
    reach = 8 if radius <= 8 else radius
    span = range(-reach, reach + 1)
    disk = np.array([[float(i * i + j * j <= radius * radius) for j in span] for i in span])
    soft = bell(alias_blur, 1 if radius <= 8 else 2)
    disk = convolve(convolve(disk / disk.sum(), soft, 0, "reflect"), soft, 1, "reflect")
    padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    out = np.zeros_like(x)
    for i in range(2 * reach + 1):
        for j in range(2 * reach + 1):
            out += disk[i, j] * padded[i : i + x.shape[0], j : j + x.shape[1]]
    return out


def glass_blur(x, rng, sigma, reach, rounds):
    x = bytes_of(smooth(x, sigma))
    height, width = x.shape[:2]
    for _ in range(rounds):
        for h in range(height - reach, reach, -1):
            for w in range(width - reach, reach, -1):
                dx, dy = rng.randint(-reach, reach, size=2)
                x[h, w] = x[h + dy, w + dx]
    return smooth(x / WHITE, sigma)


def trail(x, radius, sigma, angle):
    """Motion blur of one channel or three, whole numbers from 0 to 255."""
    height, width = x.shape[:2]
    weights = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(2 * radius + 1)]
    out = np.zeros(x.shape)
    for h in range(height):
        for w in range(width):
            total = 0
            for i, weight in enumerate(weights):
                row = h + math.ceil(i * math.sin(math.radians(angle)) - 0.5)
                column = w + math.ceil(i * math.cos(math.radians(angle)) - 0.5)
                total = total + weight * x[min(max(row, 0), height - 1), min(max(column, 0), width - 1)]
            sixteen_bits = np.floor(total / sum(weights) * 257 + 0.5)
            out[h, w] = sixteen_bits // 257
    return out


def motion_blur(x, rng, radius, sigma):
    return trail(np.rint(x * WHITE), radius, sigma, rng.uniform(-45, 45)) / WHITE


def middle(x, factor):
    """The middle, enlarged: corner pixels stay corner pixels, between them straight lines."""
    for axis in (0, 1):
        size = x.shape[axis]
        crop = math.ceil(size / factor)
        start = (size - crop) // 2
        enlarged = round(crop * factor)
        trim = (enlarged - size) // 2
        where = np.linspace(0, crop - 1, enlarged)[trim : trim + size]
        cut = np.moveaxis(x, axis, 0)[start : start + crop]
        lines = [np.interp(where, np.arange(crop), line) for line in cut.reshape(crop, -1).T]
        x = np.moveaxis(np.array(lines).T.reshape(size, *cut.shape[1:]), 0, axis)
    return x


def zoom_blur(x, rng, stop, step):
    images = [x, *(middle(x, factor) for factor in np.arange(1, stop, step))]
    return sum(images) / len(images)


# --- weather


def snow(x, rng, mean, scale, zoom, threshold, radius, sigma, blend):
    flakes = middle(mean + scale * rng.standard_normal(x.shape[:2]), zoom)
    flakes = bytes_of(np.where(flakes < threshold, 0, flakes))
    flakes = trail(flakes, radius, sigma, rng.uniform(-135, -45))[..., None] / WHITE
    grey = (x @ [0.299, 0.587, 0.114])[..., None]
    white = np.maximum(x, 1.5 * grey + 0.5)
    return blend * x + (1 - blend) * white + flakes + flakes[::-1, ::-1]


def frost(x, rng, image_weight, frost_weight, textures):
    texture = textures[rng.randint(5)]
    top, left = rng.randint(0, texture.shape[0] - x.shape[0]), rng.randint(0, texture.shape[1] - x.shape[1])
    return image_weight * x + frost_weight * texture[top : top + x.shape[0], left : left + x.shape[1]] / WHITE


def fog(x, rng, strength, decay):
    size = 1
    while size < max(x.shape[:2]):
        size *= 2
    heights, step, wibble = np.zeros((size, size)), size, 100.0
    while step > 1:
        half, n = step // 2, size // step
        for rows, columns, neighbours in (
            (half, half, [(-half, -half), (-half, half), (half, -half), (half, half)]),
            (0, half, [(-half, 0), (half, 0), (0, -half), (0, half)]),
            (half, 0, [(-half, 0), (half, 0), (0, -half), (0, half)]),
        ):
            shifts = wibble * rng.uniform(-wibble, wibble, (n, n))
            for i in range(n):
                for j in range(n):
                    r, c = rows + i * step, columns + j * step
                    around = sum(heights[(r + a) % size, (c + b) % size] for a, b in neighbours)
                    heights[r, c] = around / 4 + shifts[i, j]
        step, wibble = half, wibble / decay
    heights = (heights - heights.min()) / (heights.max() - heights.min())
    return (x + strength * heights[: x.shape[0], : x.shape[1], None]) * x.max() / (x.max() + strength)


def spatter(x, rng, mean, scale, sigma, threshold, soft, liquid):
    assert liquid == "mud"
    layer = smooth(mean + scale * rng.standard_normal(x.shape[:2]), sigma)
    cover = smooth((layer > threshold).astype(float), soft)[..., None]
    cover = np.where(cover < 0.8, 0, cover)
    return (1 - cover) * x + cover * np.array([63, 42, 20]) / WHITE


# --- digital


def brightness(x, rng, shift):
    def brighter(*rgb):
        h, s, v = colorsys.rgb_to_hsv(*rgb)
        return colorsys.hsv_to_rgb(h, s, min(v + shift, 1))

    return each_pixel(x, brighter)


def saturate(x, rng, factor, shift):
    def more(*rgb):
        h, s, v = colorsys.rgb_to_hsv(*rgb)
        return colorsys.hsv_to_rgb(h, min(s * factor + shift, 1), v)

    return each_pixel(x, more)


def contrast(x, rng, factor):
    mean = [x[..., c].sum() / x[..., c].size for c in range(3)]
    return mean + factor * (x - mean)


def pixelate(x, rng, scale):
    """Means of the pixels whose centres lie in the box of an output pixel; rounded after each direction, as Pillow."""
    for sizes in ([int(side * scale) for side in x.shape[:2]], x.shape[:2]):
        for axis in (1, 0):
            ratio = x.shape[axis] / sizes[axis]
            lines = np.moveaxis(x, axis, 0)
            out = []
            for i in range(sizes[axis]):
                low, high = (i + 0.5) * ratio - max(ratio, 1) / 2, (i + 0.5) * ratio + max(ratio, 1) / 2
                out.append(lines[[j for j in range(len(lines)) if low < j + 0.5 <= high]].mean(0))
            x = np.moveaxis(np.floor(np.array(out) * WHITE + 0.5 + 1e-9) / WHITE, 0, axis)
    return x


def elastic_transform(x, rng, displacement, sigma, shift):
    height, width = x.shape[:2]
    centre, reach = np.array([height // 2, width // 2]), min(height, width) // 3
    points = np.array([centre + reach, [centre[0] + reach, centre[1] - reach], centre - reach], float)
    moved = points + rng.uniform(-shift, shift, (3, 2))
    # A point (column, row) of the new image -> one of the old: backwards through the affine map.
    back = np.linalg.solve(np.c_[moved, np.ones(3)], points)

    def fold(i, size, twice):
        """Into the image, mirrored: with the pixel of the edge twice or once."""
        period = 2 * size if twice else 2 * size - 2
        i %= period
        return min(i, period - 1 - i) if twice else min(i, period - i)

    def at(image, row, column, twice):
        r, c = math.floor(row), math.floor(column)
        return sum(
            (1 - abs(row - i)) * (1 - abs(column - j)) * image[fold(i, height, twice), fold(j, width, twice)]
            for i in (r, r + 1)
            for j in (c, c + 1)
        )

    tilted = np.zeros_like(x)
    for h in range(height):
        for w in range(width):
            column, row = np.array([w, h, 1]) @ back
            tilted[h, w] = at(x, row, column, twice=False)
    right = displacement * smooth(rng.uniform(-1, 1, (height, width)), sigma, truncate=3, pad="symmetric")
    down = displacement * smooth(rng.uniform(-1, 1, (height, width)), sigma, truncate=3, pad="symmetric")
    return np.array(
        [[at(tilted, h + down[h, w], w + right[h, w], twice=True) for w in range(width)] for h in range(height)]
    )
