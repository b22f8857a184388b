"""YAML of unknown origin: read, or refused by an exception that says why."""

from pathlib import Path

import pytest
import yaml

from assemble.errors import UserError
from assemble.models.weights import read_config
from assemble.yaml_files import expanded_size, read_yaml

BOMB = "a0: &a0 [x]\n" + "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 20))
BAD = {
    "bomb": BOMB,
    "itself": "&a [*a]",
    "flow": "[" * 100_000 + "]" * 100_000,
    "line": "- " * 100_000,
    "half": "model: [",
    "tag": "!!python/object/apply:os.system [true]",
    "date": "2026-13-45",
    "bytes": b"\xff\xfe\xff",
}


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "config.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("name", BAD)
def test_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(yaml.YAMLError):
        read_yaml(written(tmp_path, BAD[name]))


@pytest.mark.parametrize("name", BAD)
def test_beside_weights_it_is_one_line(name: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({}, tmp_path / "model.safetensors")
    written(tmp_path, BAD[name])
    with pytest.raises(UserError, match=r"config\.yaml cannot be read") as caught:
        read_config(tmp_path / "model.safetensors")
    assert "\n" not in str(caught.value)


def test_aliases_and_long_lists_are_fine(tmp_path: Path) -> None:
    content = {"shared": [1, 2], "classes": [f"class {i}" for i in range(1000)]}
    content["again"] = content["shared"]
    assert read_yaml(written(tmp_path, yaml.safe_dump(content))) == content


def test_expanded_size() -> None:
    shared = [1, 2]
    assert expanded_size({"a": shared, "b": [shared, shared]}) == 1 + 3 + 1 + 2 * 3
