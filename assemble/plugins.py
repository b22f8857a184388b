"""Tricks, networks and data sets from other people's packages: which there are, found without importing them.

Two ways lead here. An installed package names what it has in entry points (``assemble.tricks``, ``assemble.models``,
``assemble.data``: NAME = "module" of a trick, "module:function" of the others). Any package that can be imported is
read where ``plugins=[my_package]`` says so: its files are searched for `tricks.base.register`, `register_model` and
`register_data`. What is then chosen by name is imported, the rest is not. docs/extending.md says how to write one.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import entry_points, packages_distributions, version
from pathlib import Path
from typing import Any, TypeVar

import yaml

from assemble.errors import UserError
from assemble.yaml_files import read_yaml

T = TypeVar("T", bound=Callable[..., Any])

KINDS = {"tricks": "trick", "models": "network", "data": "data set"}
"""Kind, as in the names of the entry points' groups -> what messages call one of it."""
MARKS = {
    ("tricks.base", "register"): "tricks",
    ("assemble.plugins", "register_model"): "models",
    ("assemble.plugins", "register_data"): "data",
}
"""Decorator, by its module and name -> the kind of what it marks."""


def register_model(make: T) -> T:
    """Mark a network: a module's class or a function, called with ``num_classes`` and ``model.args``; model=<its name>.

    The mark is read from the file (`declared`), so it does nothing here.
    """
    return make


def register_data(open_it: T) -> T:
    """Mark a data set: a function of a `DataConfig` and ``data.args`` -> `Source`; data=<its name>."""
    return open_it


@dataclass(frozen=True)
class Provided:
    """One trick, network or data set of a plug-in."""

    kind: str
    name: str
    module: str
    attribute: str = ""
    """Name of the function or class in the module; of a trick none, for the module registers it."""

    @property
    def package(self) -> str:
        """The package that is imported."""
        return self.module.partition(".")[0]

    @property
    def file(self) -> Path:
        """The module's file. Raises `UserError` where there is none."""
        file = _file_of(self.module)
        if file is None:
            raise UserError(f"plug-in {self.package} has no {self.module}, which it names: mend it, or uninstall it")
        return file

    @property
    def about(self) -> str:
        """First line of its docstring.

        Raises:
            UserError: it has none, or its file cannot be read.
        """
        tree = _parsed(self.file, self.package)
        owner: Any = tree
        if self.attribute:
            owner = next((node for node in tree.body if getattr(node, "name", None) == self.attribute), None)
            if owner is None:
                return f"{self.module}:{self.attribute}"  # made otherwise than by class or def
        text = ast.get_docstring(owner) or ""
        if not text:
            what = f"plug-in {self.package}: {KINDS[self.kind]} {self.name}"
            raise UserError(f"{what} ({self.file.name}) has no docstring: write one, whose first line --help shows")
        return text.partition("\n")[0]

    @property
    def settings(self) -> dict[str, Any]:
        """What the package's ``conf/data/NAME.yaml`` sets for its data set NAME, nothing where there is no such file.

        Raises:
            UserError: it holds no keys and values.
        """
        start = _file_of(self.package)
        file = start.parent / "conf" / self.kind / f"{self.name}.yaml" if start else None
        if start is None or start.name != "__init__.py" or file is None or not file.is_file():
            return {}
        try:
            content = read_yaml(file) or {}
        except (yaml.YAMLError, OSError) as error:
            raise UserError(f"plug-in {self.package}: {file} cannot be read ({error}): mend it") from error
        if not isinstance(content, dict):
            raise UserError(f"plug-in {self.package}: {file} holds no keys and values: write KEY: VALUE")
        return content

    def load(self) -> Any:
        """Import its module, and return the attribute, or the module itself.

        Raises:
            UserError: the import fails, or there is no such attribute.
        """
        target = f"{self.module}.{self.attribute}" if self.attribute else self.module
        return imported(target, f"plug-in {self.package}")


_USED: list[str] = []
"""Packages that ``plugins=[..]`` has named."""


def use(packages: Iterable[Any]) -> None:
    """Let what these packages have be chosen by name from now on.

    A package in the working directory is found, too.

    Raises:
        UserError: there is none of that name, or one of its files cannot be read.
    """
    for package in map(str, packages):
        if package in _USED:
            continue
        _look_here(package)
        if _file_of(package) is None:
            raise UserError(
                f"plugins=[{package}]: there is no package {package}: install it, or put its folder on PYTHONPATH"
            )
        declared(package)
        _USED.append(package)


def _look_here(package: str) -> None:
    """Let a package in the working directory be found, as ``python -m`` does, where there is none of its name."""
    here = str(Path.cwd())
    if here not in sys.path and importlib.util.find_spec(package) is None:
        sys.path.append(here)
        importlib.invalidate_caches()


def provided(kind: str) -> dict[str, Provided]:
    """Return what all plug-ins have of a kind, by name.

    Raises:
        UserError: two of them have one name.
    """
    found: dict[str, Provided] = {}
    for item in [*installed(kind), *(one for package in _USED for one in declared(package) if one.kind == kind)]:
        other = found.setdefault(item.name, item)
        if other != item:
            raise UserError(
                f"plug-ins {other.package} and {item.package} both have a {KINDS[kind]} '{item.name}' "
                f"({other.module}, {item.module}): rename one, or leave it out"
            )
    return found


def names(kind: str, own: Mapping[str, str]) -> dict[str, str]:
    """Return name -> one line, of our ``own`` and of the plug-ins'.

    Raises:
        UserError: a plug-in has a name that is taken, or no docstring.
    """
    others = provided(kind)
    for name, item in others.items():
        if name in list(own):
            raise UserError(
                f"plug-in {item.package}: the name of its {KINDS[kind]} '{name}' ({item.module}) is taken: rename it"
            )
    return {**own, **{name: item.about for name, item in others.items()}}


@cache
def installed(kind: str) -> tuple[Provided, ...]:
    """Return what the entry points of installed packages name."""
    entries = _entries().select(group=f"assemble.{kind}")
    return tuple(Provided(kind, e.name, e.module, "" if kind == "tricks" else e.attr) for e in entries)


@cache
def _entries() -> Any:
    return entry_points()


@cache
def declared(package: str) -> tuple[Provided, ...]:
    """Return what the files of a package mark, in the order of their names.

    Raises:
        UserError: one of them cannot be read.
    """
    start = _file_of(package)
    assert start is not None
    folder = start.parent if start.name == "__init__.py" else None
    files = sorted(folder.rglob("*.py")) if folder else [start]
    found: list[Provided] = []
    for file in files:
        inner = file.relative_to(folder).with_suffix("").parts if folder else ()
        module = ".".join([package, *(part for part in inner if part != "__init__")])
        found += _marked(module, file, package)
    return tuple(found)


def _marked(module: str, file: Path, package: str) -> Iterator[Provided]:
    tree = _parsed(file, package)
    marks = {
        alias.asname or alias.name: MARKS[node.module, alias.name]
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if (node.module, alias.name) in MARKS
    }
    for node in tree.body if marks else []:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            for kind in (marks.get(ast.unparse(decorator)) for decorator in node.decorator_list):
                if kind == "tricks":
                    yield Provided(kind, module.rpartition(".")[2], module)
                elif kind:
                    yield Provided(kind, node.name, module, node.name)


@cache
def _parsed(file: Path, package: str) -> ast.Module:
    try:
        return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError) as error:
        reason = f"{error.msg} in line {error.lineno}" if isinstance(error, SyntaxError) else error
        raise UserError(f"plug-in {package}: {file} cannot be read ({reason}): mend it, or leave it out") from error


def _file_of(module: str) -> Path | None:
    """Return a module's file, without importing its parents; None where there is none."""
    path: Any = None
    name, spec = "", None
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        try:
            spec = PathFinder.find_spec(name, path)
        except (ImportError, ValueError):
            return None
        if spec is None:
            return _editable(module)
        path = spec.submodule_search_locations
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _editable(module: str) -> Path | None:
    """Return the file of a module whose package another finder knows, as that of ``pip install -e``."""
    top, _, inner = module.partition(".")
    try:
        spec = importlib.util.find_spec(top)  # of a package at the top, nothing is imported
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return None
    if not inner:
        return Path(spec.origin)
    whole = Path(spec.origin).parent.joinpath(*inner.split("."))
    return next((file for file in (whole.with_suffix(".py"), whole / "__init__.py") if file.is_file()), None)


def imported(target: str, asked: str) -> Any:
    """Import what a dotted path names: a module, or something in one.

    Args:
        target: as my_package.nets.Net.
        asked: what asks for it, for the message.

    Raises:
        UserError: it cannot be imported, or is not there.
    """
    package = target.partition(".")[0]
    if package in sys.stdlib_module_names:  # whoever writes a recipe may not run anything: subprocess.run, for one
        raise UserError(
            f"{asked}: {package} is Python's own, and holds nothing for a training: name a class or function of a "
            "package of yours or an installed one, as my_package.nets.Net"
        )
    _look_here(package)
    module, attributes = target, list[str]()
    while True:
        try:
            found: Any = importlib.import_module(module)
            break
        except ModuleNotFoundError as error:
            missing = error.name == module or (error.name or "").startswith(f"{module}.")
            parent, _, last = module.rpartition(".")
            # A class is no module: look for it in what comes before it. What a module itself lacks is its own mistake.
            if parent and (missing or "is not a package" in str(error)):
                module, attributes = parent, [last, *attributes]
                continue
            raise _unusable(asked, target, error) from error
        except Exception as error:  # whatever is wrong with that code; the traceback goes along as the cause
            raise _unusable(asked, target, error) from error
    for attribute in attributes:
        if not hasattr(found, attribute):
            raise UserError(f"{asked}: {module} has no '{attribute}', so there is no {target}")
        found = getattr(found, attribute)
    return found


def _unusable(asked: str, target: str, error: Exception) -> UserError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return UserError(f"{asked}: {target} cannot be imported ({reason}): mend it, or leave it out")


def called(group: Mapping[str, Any]) -> str:
    """Return what a network or a data set is called: its name, or the last word of its ``_target_``."""
    target = group.get("_target_")
    return str(target).rpartition(".")[2] if target else group["name"]


def origin(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return package -> version, of the plug-ins whose tricks, network or data set a resolved configuration has."""
    modules = [item.module for name, item in provided("tricks").items() if name in config["tricks"]]
    for kind, group in (("models", config["model"]), ("data", config["data"])):
        target = group.get("_target_")
        item = None if target else provided(kind).get(group["name"])
        modules += [target] if target else [item.module] if item else []
    return {package: _version(package) for package in sorted({module.partition(".")[0] for module in modules})}


def _version(package: str) -> str | None:
    """Return the version of an imported package: of its distribution, or what it says itself."""
    distributions = packages_distributions().get(package)
    if distributions:
        return version(distributions[0])
    own = getattr(sys.modules.get(package), "__version__", None)
    return None if own is None else str(own)
