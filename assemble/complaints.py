"""The errors of Hydra, OmegaConf, torch and the machine, each in one line of the user's own terms.

`explanation` finds the user's mistake in a chain of exceptions; `assemble.command_line.one_line_errors` prints it.
"""

from __future__ import annotations

# Nothing slow at the top: until `one_line_errors` is entered, Ctrl-C is answered with a traceback.
import errno
import os
from collections.abc import Iterator, MutableMapping, Sequence

from assemble.errors import UserError

FULL_ERROR = "HYDRA_FULL_ERROR"
OURS = "ASSEMBLE_SET_HYDRA_FULL_ERROR"
"""Set where the program, not the user, asked Hydra for whole exceptions. Inherited by Lightning's other ranks."""
GOES_ON = "interrupted: the same command goes on from the last checkpoint"
"""What train.py says after Ctrl-C."""
FULL = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
}
"""What is to be done where a file cannot be written any further; the error does not always know which file."""
OUTSIDE = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "change who may write there"),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST, errno.EISDIR), "remove what is in the way"),
    errno.ENAMETOOLONG: "a shorter name",
}
"""Other errors of the machine's disks and rights, which only the user can mend, and how."""
LONGEST = 300
"""Characters of a file's name that are shown."""
WORKER_GONE = r"DataLoader worker \(pid.*\) (is killed by signal: \w+|exited unexpectedly)"
"""What torch says, in a RuntimeError, where the system has ended a loader's worker."""
ONE_VALUE = "Expected more than 1 value per channel when training"
"""What torch says, in a ValueError, where batch norm has nothing to take a variance of."""


def raise_through_hydra() -> None:
    """Make Hydra raise its exceptions instead of printing them and leaving, so that they reach `one_line_errors`."""
    if os.environ.get(FULL_ERROR) != "1":
        os.environ[FULL_ERROR] = "1"
        os.environ[OURS] = "1"


def as_the_user_had_it(environment: MutableMapping[str, str]) -> None:
    """Undo `raise_through_hydra` in the environment of a child process."""
    if environment.pop(OURS, None):
        environment.pop(FULL_ERROR, None)


def wants_traceback() -> bool:
    """Return True where the user asked for tracebacks."""
    return os.environ.get(FULL_ERROR) == "1" and OURS not in os.environ


def explanation(exception: BaseException) -> str | None:
    """Return one line about a user's mistake, or None where the exception is something else."""
    chain = list(_chain(exception))
    for link in chain:
        if isinstance(link, UserError):
            # From a DataLoader worker the line comes at the end of that worker's traceback.
            return _one_line(str(link).rpartition(f"{UserError.__name__}: ")[2])
    hydra = [link for link in chain if type(link).__module__.partition(".")[0] in {"hydra", "omegaconf"}]
    if hydra and hydra[0] is exception:
        # The innermost says what was wrong; the others only where Hydra was when it happened.
        omega = [link for link in hydra if type(link).__module__.startswith("omegaconf")]
        return _recipe(hydra[0]) + _configuration(omega[-1]) if omega else _hydra(hydra[0])
    if isinstance(exception, ValueError) and _raised_by(exception).partition(".")[0] == "hydra":
        return _one_line(str(exception))  # flags that contradict each other, for one
    if isinstance(exception, MemoryError) or type(exception).__name__ == "OutOfMemoryError":  # the latter is torch's
        return "the memory is not enough: lower data.batch_size, data.image_size or the model's width"
    if isinstance(exception, OSError):
        return _machine(exception)
    return _torch(chain)


def _machine(error: OSError) -> str | None:
    """Put an error of the machine's disks into one line."""
    name = str(error.filename)
    place = "" if error.filename is None else f"{name if len(name) <= LONGEST else name[:LONGEST] + '...'}: "
    if error.errno in FULL:
        what = FULL[error.errno]
        return f"{place}{error.strerror}. Choose another place (output_dir=...), or {what}; the same command goes on"
    if error.errno in OUTSIDE and place:
        return f"{place}{error.strerror}. Choose another place (output_dir=...), or {OUTSIDE[error.errno]}"
    return None


def _torch(chain: Sequence[BaseException]) -> str | None:
    """Put an error of torch's that has its cause outside of the program into one line."""
    import re

    said = " ".join(str(link) for link in chain)
    if re.search(WORKER_GONE, said):
        return (
            "a worker that loads images was ended by the system (out of memory?): lower data.num_workers or "
            "data.batch_size, or give it more (shared) memory; the same command goes on from the last checkpoint"
        )
    if ONE_VALUE in said:
        return (
            "batch norm sees one value per channel: a step of one image on one device is too small for this network. "
            "Raise data.batch_size, or lower trainer.accumulate_grad_batches or trainer.devices"
        )
    return None


def _chain(exception: BaseException | None) -> Iterator[BaseException]:
    """Yield the exception, then those that led to it."""
    seen: set[int] = set()
    while exception is not None and id(exception) not in seen:
        seen.add(id(exception))
        yield exception
        exception = exception.__cause__ or (None if exception.__suppress_context__ else exception.__context__)


def _raised_by(exception: BaseException) -> str:
    """Return the name of the module in which the exception was raised."""
    place = exception.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    return str(place.tb_frame.f_globals.get("__name__")) if place else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def quoted(argument: str) -> str:
    """Return ``key=value`` as it is typed in a shell when the value has characters which mean something to Hydra."""
    import shlex

    key, _, value = argument.partition("=")
    value = value.replace('"', '\\"')
    return shlex.quote(f'{key}="{value}"')


def _hydra(exception: BaseException) -> str:
    """Put Hydra's own complaint into one line."""
    import re

    if type(exception).__name__ == "OverrideParseException":
        argument, reason = str(getattr(exception, "override", "")), _one_line(str(exception).partition("\n")[0])
        key, _, value = argument.partition("=")
        if re.fullmatch(r"\+{0,2}[\w/@]+(\.\w+)*", key, re.ASCII) and value[:1] not in ("", "[", "{"):
            return f"cannot read the argument '{argument}': quote a value with special characters: {quoted(argument)}"
        return f"cannot read the argument {argument!r} ({reason}). Write key=value; quote lists: '+tricks=[a,b]'"
    missing = re.search(
        r"Could not find '([\w/]+)/([^/']+)'\s+Available options in '\1':((?:\n\t\S+)+)", str(exception)
    )
    if missing:
        from assemble.suggest import suggest

        return suggest(missing[1], missing[2], missing[3].split(), group=missing[1])
    # Paragraphs after the first list search paths and the like.
    return _one_line(str(exception).partition("\n\n")[0])


def _recipe(exception: BaseException) -> str:
    """Return the words that name the recipe with the mistake; empty where it is in none."""
    start, _, rest = str(exception).partition("In 'recipe/")
    return f"recipe {rest.partition(chr(39))[0]}: " if rest and not start else ""


def _configuration(exception: BaseException) -> str:
    """Put OmegaConf's complaint about one key into terms of the command line."""
    import re

    key = str(getattr(exception, "full_key", None) or "")
    message = _one_line(str(getattr(exception, "msg", None) or exception).partition("\n")[0])
    kind = type(exception).__name__
    if kind in {"ConfigAttributeError", "ConfigKeyError"}:
        return _unknown_key(key, getattr(exception, "object_type", None), message)
    if kind in {"MissingMandatoryValue", "InterpolationToMissingValueError"}:
        key = key or message.rpartition(" ")[2]
        return f"{key} is not set: give it as {key}=..."
    found = re.match(r"Value '(.*)' of type '.*' could not be converted to (\w+)", message)
    if found:
        kinds = {"Integer": "an integer", "Float": "a number"}
        return f"{key}: '{found[1]}' is not {kinds.get(found[2], f'of type {found[2]}')}"
    found = re.match(r"Value '(.*)' is not a valid bool", message)
    if found:
        return f"{key}: '{found[1]}' is not true or false"
    found = re.match(r"Merge error: \w+ is not a subclass of (\w+)\. value: (.*)", message)
    if found:
        return f"{found[2]} stands where the keys of {found[1]} belong: write KEY: VALUE"
    found = re.match(r"Invalid value assigned: (\w+) is not a ListConfig", message)
    if found:
        return f"{key}: not a list. Write {key}=[..], with the items between the brackets"
    if re.match(r"field '.*' is not Optional|Incompatible value 'None'|Invalid type assigned: NoneType ", message):
        return f"{key} cannot be null: give it a value, or leave it out"
    return f"{key}: {message}" if key else message


def _unknown_key(key: str, node: object, message: str) -> str:
    """Explain a key that is not there: of a trick, of a group, or of something that is not selected."""
    import dataclasses

    from assemble.suggest import suggest, unknown_key

    parent, _, name = key.rpartition(".")
    group, _, option = parent.partition(".")
    if isinstance(node, type) and dataclasses.is_dataclass(node):
        if group == "tricks":
            return suggest(f"parameter of trick {option}", name, [f.name for f in dataclasses.fields(node)])
        return unknown_key(key, node)
    if parent in {"tricks", "logger"}:
        return f"{parent[:-1] if parent == 'tricks' else parent} '{name}' is not selected, so {key} changes nothing"
    return f"unknown key '{key}' ({message})" if key else message
