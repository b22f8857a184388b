"""Variables of a TensorFlow 1 checkpoint as arrays. Stands alone, so that it runs where only TensorFlow is installed:

python3 -m venv tf && tf/bin/pip install tensorflow
tf/bin/python assemble/models/tf_checkpoint.py model.ckpt-750683 weights.npz
"""

import sys
from pathlib import Path

import numpy as np

SLOTS = ("/Momentum", "/Adam", "/Adam_1", "/RMSProp", "/RMSProp_1")
"""What optimizers keep for each variable: most of a checkpoint's bytes, and of no use here."""


def read_checkpoint(path: str | Path) -> dict[str, np.ndarray]:
    """Read a checkpoint as name -> array, sorted by name, without optimizer slots.

    Args:
        path: ``.../model.ckpt-N`` (or its ``.index`` file), or a folder, whose newest checkpoint is taken.

    Raises:
        ImportError: TensorFlow is not installed.
        ValueError: there is no readable checkpoint.
    """
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(str(path).removesuffix(".index"))
        names = sorted(name for name in reader.get_variable_to_shape_map() if not name.endswith(SLOTS))
        return {name: np.asarray(reader.get_tensor(name)) for name in names}
    except (tf.errors.OpError, RuntimeError, ValueError) as error:
        raise ValueError(f"no readable TensorFlow checkpoint at {path}") from error


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    arrays = read_checkpoint(sys.argv[1])
    np.savez(sys.argv[2], **arrays)  # type: ignore[arg-type]
    print(f"{len(arrays)} variables in {sys.argv[2]}")
