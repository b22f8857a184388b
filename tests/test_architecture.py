"""What knows of what: trick names stay in their rooms, and heavy libraries are imported late."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

from core.names import trick_names
from models.spec import PLACES

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("conf", "core", "hydra_plugins", "lit_modules", "models", "robustness", "scoring")
# zero_gamma is also what a place of the spec is called.
WORDS = sorted(set(trick_names()) - set(PLACES))
NAME = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(WORDS)})(?![A-Za-z0-9_])")


def docstring_lines(source: str) -> set[int]:
    """Lines of strings that are statements of their own: docstrings and notes below fields."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def mentions(source: str) -> list[tuple[int, str]]:
    """(line, trick) for every trick named in code or in a string that is no docstring."""
    documented = docstring_lines(source)
    return [
        (token.start[0], match[1])
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type != tokenize.COMMENT and token.start[0] not in documented
        for match in NAME.finditer(token.string)
    ]


SOURCES = [p for room in ROOMS for p in sorted((ROOT / room).rglob("*.py"))] + sorted(ROOT.glob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_trick_is_named_outside_its_rooms(path):
    assert mentions(path.read_text(encoding="utf-8")) == []


def test_no_trick_is_named_in_the_config_groups():
    for path in (ROOT / "conf").rglob("*.yaml"):
        lines = [line.partition("#")[0] for line in path.read_text(encoding="utf-8").splitlines()]
        assert not [line for line in lines if NAME.search(line)], path


def test_the_search_finds_what_it_looks_for():
    code = '"""mixup in a docstring."""\n# mixup in a comment\nif name == "mixup":\n    sk = f"tricks.{se}.cutmix"\n'
    assert [name for _, name in mentions(code)] == ["mixup", "sk", "se", "cutmix"]
    assert mentions("task = sklearn.use(reset, ask, _mixup2)") == []


def test_tricks_do_not_know_each_other():
    """A trick may name another in yields_to, needs and conflicts, but imports none (``_shared.py`` is none)."""
    for name in trick_names():
        tree = ast.parse((ROOT / "tricks" / f"{name}.py").read_text(encoding="utf-8"))
        imported = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)} - {"tricks.base"}
        assert not [m for m in imported if m and m.startswith("tricks") and not m.startswith("tricks._")], name


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import models.catalogue",
        "import conf.schema",
        "import core.names; core.names.group_names()",
        "import models",
        "import core.cli",
        "import conf.sweepers, core.sweep_summary, hydra_plugins.assemble_compound, hydra_plugins.assemble_sweepers",
        "import core.evaluate_cli",
        "import core.errors, tricks.base",
    ],
)
def test_names_are_known_without_torch(statement):
    loaded = modules_after(statement)
    assert not loaded & {"torch", "timm", "torchvision", "pytorch_lightning", "sklearn"}


@pytest.mark.parametrize("program", ["train.py", "evaluate.py"])
def test_ctrl_c_is_answered_from_the_start(program):
    """Nothing slow is imported before the handler of errors stands."""
    body = ast.parse((ROOT / program).read_text(encoding="utf-8")).body
    imported = {node.module for node in body if isinstance(node, ast.ImportFrom)}
    assert imported - set(sys.stdlib_module_names) - {"__future__", "collections.abc"} == {"core.main"}
    assert not modules_after("import core.main") & {"yaml", "hydra", "omegaconf", "dataclasses", "torch"}


def test_a_network_of_ours_needs_torch_alone():
    """Lightning too (it imports torchvision) only where a trick brings a callback."""
    loaded = modules_after(
        "from models import create_model\n"
        "create_model('resnet20', ['sk', 'resnet_d', 'anti_alias', 'stochastic_depth', 'mixup'], width=4)"
    )
    assert "torch" in loaded
    assert not loaded & {"timm", "torchvision", "pytorch_lightning", "sklearn", "wandb"}


def test_importing_the_tricks_does_not_import_what_they_need_not():
    loaded = modules_after("import tricks; tricks.load()")
    assert "torch" in loaded
    assert not loaded & {"timm", "sklearn", "wandb"}


@pytest.mark.parametrize("room", ["tricks", "models"])
def test_no_trick_or_model_imports_timm_or_torchvision_at_its_top(room):
    for path in (ROOT / room).glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {n.partition(".")[0] for n in names} & {"timm", "torchvision"}, path
