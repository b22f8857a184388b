"""The page of what Python code calls has signatures and docstrings as they are."""

from __future__ import annotations

import ast
import re

from docs.interface import described, page
from docs.tables import DOCS


def _first(code: str) -> str:
    (node,) = ast.parse(code).body
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    return described(node)


def test_a_function() -> None:
    code = '''
def mix(images: Tensor, *, alpha: float = 0.2, **more: int) -> Tensor:
    """Mix < images.

    >>> mix(x)  # doctest: +SKIP

    Args:
        images, targets: (B, H),
            in pairs.
        alpha: strength: 0 to 1.

    Returns:
        one: the other.

    Raises:
        UserError: it cannot.
    """
'''
    assert _first(code) == (
        "### mix\n\n```python\nmix(images: Tensor, *, alpha: float = 0.2, **more: int) -> Tensor\n```\n\n"
        "Mix &lt; images.\n\n```python\nmix(x)\n```\n\n"
        "Args:\n\n* `images, targets`: (B, H), in pairs.\n* `alpha`: strength: 0 to 1.\n\n"
        "Returns: one: the other.\n\nRaises:\n\n* `UserError`: it cannot."
    )


def test_a_class_is_called_as_its_init() -> None:
    code = 'class A(nn.Module):\n    """What."""\n    def __init__(self, width: int, *rest: int) -> None: ...'
    assert "```python\nA(width: int, *rest: int)\n```\n\nWhat." in _first(code)
    assert "```python\nB()\n```" in _first('class B(nn.Module):\n    """What."""')


def test_a_long_signature_is_broken() -> None:
    names = [f"argument{i}: int" for i in range(6)]
    lines = "".join(f"    {name},\n" for name in names)
    assert f"f(\n{lines}) -> int" in _first(f'def f({", ".join(names)}) -> int:\n    """What."""')


def test_the_page_has_what_the_guide_calls() -> None:
    text = page()
    assert {"compose", "build", "train", "create_model"} <= {*re.findall(r"^### (\w+)", text, re.MULTILINE)}
    for line in (DOCS / "python.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("from tricks."):
            names = line.partition(" import ")[2].split(", ")
            assert all(f"### {name}\n" in text for name in names if name != "RandAugment"), line
