"""The scripts of docs/clusters.md: what they would start is taken by train.py, and is what their cluster takes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose as hydra_compose
from hydra import initialize
from hydra.core.config_store import ConfigStore

from assemble.command_line.check import check_arguments
from assemble.config.compose import compose
from assemble.config.launchers import PACKAGES, register_launchers
from assemble.paths import ROOT
from docs.tables import DOCS

PAGE = (DOCS / "clusters.md").read_text(encoding="utf-8")
COMMANDS = [
    line for block in re.findall(r"^```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]
SLURM = {"SLURM_NNODES": "2", "SLURM_NTASKS_PER_NODE": "8", "SLURM_CPUS_PER_TASK": "8"}
STAND_INS = {
    "python": 'printf "%s\\n" "$@" > "$SEEN"',
    "torchrun": 'printf "%s\\n" "$@" > "$SEEN"',
    "srun": 'exec "$@"',
    "sbatch": 'while [[ "$1" = -* ]]; do shift; done; exec bash "$@"',
}


def started(command: str, tmp_path: Path) -> list[str]:
    """Return what a command of the page has python, or torchrun, start: train.py's arguments, and what precedes it."""
    for name, does in STAND_INS.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{does}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SEEN": str(tmp_path / "seen"), **SLURM}
    subprocess.run(["bash", "-c", command], cwd=ROOT, env=environment, check=True)
    return (tmp_path / "seen").read_text().splitlines()


def of_train(words: list[str]) -> list[str]:
    return words[words.index("train.py") + 1 :]


@pytest.mark.parametrize("command", [line for line in COMMANDS if "kubectl" not in line])
def test_what_the_scripts_start_is_taken(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assemble.config.launchers.find_spec", str)  # all launchers are there
    arguments = of_train(started(command, tmp_path))
    assert check_arguments(arguments) == ("-m" in arguments)
    words = shlex.split(command)
    (script,) = (place for place, word in enumerate(words) if word.endswith(".sh"))
    assert [word for word in arguments if word in words] == words[script + 1 :]
    cfg = compose(one_job(arguments))
    assert cfg.trainer.devices == (1 if "ray" in command else 8)
    assert cfg.trainer.num_nodes == (1 if "-m" in arguments else 2)


def one_job(arguments: list[str]) -> list[str]:
    """Return the arguments of the first job of a sweep."""
    plain = [word for word in arguments if word != "-m" and "hydra" not in word.partition("=")[0]]
    first = {"'+tricks=[],[sk],[sk,mixup]'": "+tricks=[]", "seed=0,1,2": "seed=0"}
    return [first.get(word, first.get(f"'{word}'", word)) for word in plain]


def test_every_script_is_on_the_page() -> None:
    for file in (DOCS / "clusters").iterdir():
        assert sum(f"docs/clusters/{file.name}" in line for line in COMMANDS) > 0
        assert f"](clusters/{file.name})" in PAGE or file.name == "torchrun.sh"


@pytest.mark.parametrize("launcher", ["submitit_slurm", "ray"])
def test_the_keys_are_the_launchers(launcher: str, tmp_path: Path) -> None:
    if find_spec(f"hydra_plugins.{PACKAGES[launcher]}") is None:
        pytest.skip(f"no {launcher}")
    (command,) = (line for line in COMMANDS if launcher.removesuffix("_slurm") + ".sh" in line)
    arguments = of_train(started(command, tmp_path))
    keys = [word for word in arguments if "hydra.launcher" in word]
    register_launchers()
    ConfigStore.instance().store(name="nothing", node={"defaults": [{"override hydra/launcher": launcher}]})
    with initialize(None, version_base="1.3"):
        composed = hydra_compose("nothing", overrides=keys, return_hydra_config=True).hydra.launcher
    if launcher == "ray":
        assert composed.ray.init.address == "10.0.0.1:6379"
        assert composed.ray.remote == {"num_gpus": 1, "num_cpus": 8}
    else:
        assert (composed.partition, composed.account, composed.constraint) == ("gpu", "vision", "a100")
        assert len(keys) == 7


FIELDS = {
    "": {"apiVersion", "kind", "metadata", "spec"},
    "spec": {"runPolicy", "elasticPolicy", "pytorchReplicaSpecs", "nprocPerNode"},
    "runPolicy": {
        "cleanPodPolicy",
        "ttlSecondsAfterFinished",
        "activeDeadlineSeconds",
        "backoffLimit",
        "schedulingPolicy",
        "suspend",
    },
    "replica": {"replicas", "template", "restartPolicy"},
}
"""Fields of a PyTorchJob: pkg/apis/kubeflow.org/v1/{pytorch,common}_types.go of the training operator."""


def test_the_job_of_kubernetes() -> None:
    job: Any = yaml.safe_load((DOCS / "clusters" / "pytorchjob.yaml").read_text(encoding="utf-8"))
    spec = job["spec"]
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    assert set(job) <= FIELDS[""]
    assert set(spec) <= FIELDS["spec"]
    assert set(spec["runPolicy"]) <= FIELDS["runPolicy"]
    assert spec["runPolicy"]["cleanPodPolicy"] in {"All", "Running", "None"}
    replicas = spec["pytorchReplicaSpecs"]
    assert set(replicas) == {"Master", "Worker"}
    for replica in replicas.values():
        assert set(replica) <= FIELDS["replica"]
        assert replica["restartPolicy"] in {"Always", "OnFailure", "Never", "ExitCode"}
    (container,) = replicas["Worker"]["template"]["spec"]["containers"]
    assert container["name"] == "pytorch"
    volumes = {volume["name"] for volume in replicas["Master"]["template"]["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    operators = {"$(RANK)": "1", "$(MASTER_ADDR)": "assemble-master-0", "$(MASTER_PORT)": "23456"}
    words = [re.sub(r"\$\(\w+\)", lambda found: operators[found[0]], word) for word in container["command"]]
    nodes = sum(replica["replicas"] for replica in replicas.values())
    devices = container["resources"]["limits"]["nvidia.com/gpu"]
    from torch.distributed.run import get_args_parser

    launcher = get_args_parser().parse_args([*words[1 : words.index("train.py")], "train.py"])
    assert (words[0], launcher.nnodes, launcher.nproc_per_node) == ("torchrun", str(nodes), str(devices))
    arguments = of_train(words)
    assert not check_arguments(arguments)
    cfg = compose(arguments)
    assert (cfg.trainer.num_nodes, cfg.trainer.devices) == (nodes, devices)
