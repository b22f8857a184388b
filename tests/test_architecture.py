"""The house holds: imports run down its floors, trick names stay in their rooms, heavy libraries come late."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from assemble.models.spec import PLACES
from tricks import trick_names

ROOT = Path(__file__).resolve().parents[1]

FLOORS = {
    "assemble/": 1,
    "assemble/models/": 2,
    "tricks/base.py": 3,
    "tricks/__init__.py": 3,
    "assemble/data/": 4,
    "lit_modules/": 5,
    "assemble/robustness/": 6,
    "assemble/config/": 7,
    "assemble/planning/": 8,
    "assemble/runs/": 9,
    "assemble/scoring/": 10,
    "tricks/": 11,
    "assemble/reporting/": 12,
    "assemble/exporting/": 12,
    "assemble/sweeps/": 13,
    "assemble/command_line/": 14,
    "assemble/programs/": 14,
    "assemble/check_plugin.py": 14,
    "hydra_plugins/": 14,
}
"""Room -> its floor, the ground first; of two that fit a file, the longer. docs/design.md says what each promises."""

UPWARD = {
    ("assemble/__init__.py", module)
    for module in (
        "assemble.models.families",
        "assemble.planning.resolve",
        "assemble.programs.python",
        "tricks",
        "tricks.base",
    )
}
"""Imports that run upward: what ``import assemble`` gives is for other people's code, and imports late."""

SOURCES = {
    str(path.relative_to(ROOT))
    for room in ("assemble", "tricks", "lit_modules", "hydra_plugins")
    for path in (ROOT / room).rglob("*.py")
}


def floor(file: str) -> int:
    return FLOORS[max((room for room in FLOORS if file.startswith(room)), key=len)]


def module_of(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


MODULES = {module_of(file): file for file in SOURCES}


def imported(source: str) -> Iterator[str]:
    """Modules of the project that a file imports anywhere: at its top, in a function, or for types alone."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                if submodule in MODULES or node.module in MODULES:
                    yield submodule if submodule in MODULES else node.module


@cache
def imports(file: str) -> frozenset[str]:
    return frozenset(imported((ROOT / file).read_text(encoding="utf-8"))) - {module_of(file)}


def test_imports_run_down():
    upward = {(file, module) for file in SOURCES for module in imports(file) if floor(MODULES[module]) > floor(file)}
    assert upward == UPWARD


def test_the_design_page_has_these_floors():
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (`.*?`) \|", text, re.MULTILINE)
    assert {room: int(level) for level, rooms in rows for room in re.findall(r"`(.*?)`", rooms)} == FLOORS
    assert {file for file, _ in UPWARD} == set(re.findall(r"one exception: `(.*?)`", text))


def test_no_circles():
    """Those of late and type-only imports included: `graphlib.CycleError` would name the files."""
    below = {file: {MODULES[module] for module in imports(file)} for file in SOURCES - {"assemble/__init__.py"}}
    assert set(TopologicalSorter(below).static_order()) >= SOURCES - {"assemble/__init__.py"}


def test_the_search_for_imports_finds_them():
    code = "import tricks.base\ndef f():\n    from assemble import errors\n    from assemble.models.spec import Spec\n"
    assert list(imported(code)) == ["tricks.base", "assemble.errors", "assemble.models.spec"]
    assert (
        floor("assemble/errors.py") < floor("tricks/base.py") < floor("assemble/data/crops.py") < floor("tricks/sk.py")
    )


def test_nobody_imports_a_trick():
    """Tricks are loaded by name, and do not know each other; a file ``tricks/_part.py`` is part of one or several."""
    tricks = {f"tricks.{name}" for name in trick_names()}
    assert not {(file, module) for file in SOURCES if "/_" not in file for module in imports(file) & tricks}


# zero_gamma is also what a place of the spec is called, autoaugment what a search for its policies is, ema what timm
# and torchvision call an entry of their checkpoints.
WORDS = sorted(set(trick_names()) - set(PLACES))
NAME = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(WORDS)})(?![A-Za-z0-9_])")
NAMESAKES = {
    ("assemble/sweeper_options.py", "autoaugment"),
    ("assemble/models/peers.py", "ema"),
    ("assemble/models/timm_resnet.py", "se"),  # timm's attribute
}


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


def test_no_trick_is_named_outside_its_rooms():
    files = {file for file in SOURCES if not file.startswith(("tricks/", "assemble/reporting/", "assemble/exporting/"))}
    files |= {path.name for path in ROOT.glob("*.py")}
    found = {(file, name) for file in files for _, name in mentions((ROOT / file).read_text(encoding="utf-8"))}
    assert found <= NAMESAKES


def test_no_trick_is_named_in_the_config_groups():
    for path in (ROOT / "conf").rglob("*.yaml"):
        lines = [line.partition("#")[0] for line in path.read_text(encoding="utf-8").splitlines()]
        assert not [line for line in lines if NAME.search(line)], path


def test_the_search_finds_what_it_looks_for():
    code = '"""mixup in a docstring."""\n# mixup in a comment\nif name == "mixup":\n    sk = f"tricks.{se}.cutmix"\n'
    assert [name for _, name in mentions(code)] == ["mixup", "sk", "se", "cutmix"]
    assert mentions("task = sklearn.use(reset, ask, _mixup2)") == []


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.process
def test_names_are_known_without_torch():
    loaded = modules_after(
        "import assemble, assemble.models.catalogue, assemble.schema, assemble.config.groups as groups\n"
        "import assemble.command_line.check, assemble.command_line.evaluate_options, assemble.command_line.help\n"
        "import assemble.sweeps.summary, hydra_plugins.assemble, tricks.base\n"
        "groups.group_names()"
    )
    assert not loaded & {"torch", "timm", "torchvision", "pytorch_lightning", "sklearn"}


def test_which_data_a_run_is_of_is_known_without_torch():
    """So a sweep is planned, and a finished run told of, before torch is imported."""
    loaded = modules_after(
        "from assemble.data.identity import data_digest\nfrom assemble.schema import DataConfig\n"
        "assert data_digest(DataConfig())"
    )
    assert not loaded & {"torch", "timm", "torchvision", "pytorch_lightning", "sklearn"}


PROGRAMS = ["train", "evaluate", "report", "benchmark", "export", "convert"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_ten_lines_and_a_body(name):
    """Nothing slow is imported before the handler of errors stands, so Ctrl-C is answered from the start."""
    script = (ROOT / f"{name}.py").read_text(encoding="utf-8")
    assert len(script.splitlines()) <= 10
    assert f"from assemble.programs.{name} import main\n" in script
    file = f"assemble/programs/{name}.py"
    late = {f"assemble.{name}" for name in ("complaints", "errors", "interrupts", "process", "ranks")}
    late.add("assemble.command_line.one_line_errors")
    top = {
        node.module
        for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom) and node.module in MODULES
    }
    if name in {"train", "evaluate"}:
        assert top <= late


@pytest.mark.process
def test_errors_are_caught_before_anything_slow_is_imported():
    loaded = modules_after("import assemble.programs.train, assemble.programs.evaluate")
    assert not loaded & {"yaml", "hydra", "omegaconf", "dataclasses", "torch"}


@pytest.mark.process
def test_importing_the_package_imports_nothing_heavy():
    loaded = modules_after("import assemble\nassemble.compose, assemble.build, assemble.train, assemble.create_model")
    assert not loaded & {"torch", "timm", "torchvision", "pytorch_lightning", "hydra", "omegaconf", "yaml", "numpy"}


@pytest.mark.process
def test_a_network_of_ours_needs_torch_alone():
    """Lightning too (it imports torchvision) only where a trick brings a callback."""
    loaded = modules_after(
        "from assemble import create_model\n"
        "create_model('resnet20', ['sk', 'resnet_d', 'anti_alias', 'stochastic_depth'], width=4)"
    )
    assert "torch" in loaded
    assert not loaded & {"timm", "torchvision", "pytorch_lightning", "sklearn", "wandb"}


@pytest.mark.process
def test_importing_the_tricks_does_not_import_what_they_need_not():
    loaded = modules_after("import tricks; tricks.load()")
    assert "torch" in loaded
    assert not loaded & {"timm", "sklearn", "wandb"}


def test_no_trick_or_model_imports_timm_or_torchvision_at_its_top():
    for file in (file for file in SOURCES if file.startswith(("tricks/", "assemble/models/"))):
        for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {n.partition(".")[0] for n in names} & {"timm", "torchvision"}, file
