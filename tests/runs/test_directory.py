"""Run directories: their names, their lock, what is in them, and when they count as finished."""

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf
from PIL import Image

import tricks
from assemble.errors import UserError
from assemble.paths import ROOT
from assemble.planning.settings import check_settings
from assemble.runs.directory import describe_result, describe_run, lock, open_run, trained_by, write_result
from assemble.runs.identity import EXCLUDED, config_hash, first_hash, former_name, plain_config, run_id, run_name
from assemble.schema import Config
from tests.helpers.synthetic_runs import OF_RUN

RESULT = {**OF_RUN, "metrics": {"top1": 97.5, "loss": 0.125}}


@pytest.fixture(autouse=True)
def no_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)


def config(output_dir: Path | str = "runs", chosen: tuple[str, ...] = (), **changes: Any) -> DictConfig:
    """A composed configuration; keys of ``changes`` have __ for a dot."""
    cfg = OmegaConf.structured(Config)
    cfg.output_dir = str(output_dir)
    known = tricks.load()
    cfg.tricks = {name: OmegaConf.structured(known[name]) for name in chosen}
    for key, value in changes.items():
        OmegaConf.update(cfg, key.replace("__", "."), value)
    return cfg


def test_run_id_can_be_read() -> None:
    name, digest = run_id(config(chosen=("sk", "resnet_d"), model__name="resnet50", seed=7)).rsplit("-", 1)
    assert name == "resnet50-digits-resnet_d-sk-s7"
    assert len(digest) == 8
    assert int(digest, 16) >= 0
    assert "-plain-s0-" in run_id(config())


def test_a_secret_of_a_logger_is_in_no_file_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKER_PLACE", "hidden-place")
    with open_run(config(tmp_path, logger={"mlflow": {"tracking_uri": "${oc.env:TRACKER_PLACE}"}})) as run:
        files = [path for path in run.directory.rglob("*") if path.is_file()]
        assert run.config["logger"]["mlflow"]["tracking_uri"] == "${oc.env:TRACKER_PLACE}"
        assert not [path for path in files if "hidden" in path.read_text()]


def test_long_lists_are_shortened() -> None:
    everything = run_id(config(chosen=tuple(tricks.load())))
    assert len(everything) < 90
    assert set(everything) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")


def test_run_id_does_not_depend_on_the_order_of_tricks() -> None:
    assert run_id(config(chosen=("sk", "resnet_d"))) == run_id(config(chosen=("resnet_d", "sk")))


def test_a_dropped_trick_is_as_good_as_none() -> None:
    dropped = config(chosen=("sk", "resnet_d"), drop=["sk"])
    assert run_id(dropped) == run_id(config(chosen=("resnet_d",)))
    assert plain_config(dropped)["drop"] == []
    left_behind = config(chosen=("resnet_d",))
    OmegaConf.update(left_behind, "tricks.sk", {"reduction": 4}, force_add=True)
    assert run_id(left_behind) == run_id(config(chosen=("resnet_d",)))


@pytest.mark.parametrize(
    "changes",
    [
        {"trainer__max_epochs": 3},
        {"optim__lr": 0.2},
        {"model__width": 8},
        {"data__name": "imagefolder", "data__root": "elsewhere"},
        {"data__train_share": 0.5},
        {"data__train_share_seed": 1},
        {"trainer__max_steps": 100},
        {"trainer__val_every_epochs": 2},
        {"trainer__limit_train_batches": 1},  # one step; 1.0 is all
        {"trainer__overfit_batches": 1},
        {"trainer__args": {"gradient_clip_algorithm": "value"}},
        {"callbacks": {"mine": {"_target_": "my_package.Mine"}}},
        {"seed": 1},
        {"chosen": ("sk",)},
    ],
)
def test_what_matters_is_in_the_name(changes: dict[str, Any]) -> None:
    assert run_id(config(**changes)) != run_id(config())


def test_max_epochs_is_not_where_max_steps_takes_its_place() -> None:
    names = {run_id(config(trainer__max_steps=100, trainer__max_epochs=epochs)) for epochs in (15, 100)}
    assert len(names) == 1


def test_a_tricks_parameter_is_in_the_name() -> None:
    cfg, other = config(chosen=("sk",)), config(chosen=("sk",))
    OmegaConf.set_readonly(other.tricks.sk, False)
    other.tricks.sk.reduction = 16
    assert run_id(cfg) != run_id(other)


def test_of_a_checkpoint_the_content_is_in_the_name(tmp_path: Path) -> None:
    for name, content in (("a.pt", b"weights"), ("moved.pt", b"weights"), ("other.pt", b"Weights")):
        (tmp_path / name).write_bytes(content)
    names = [run_id(config(model__checkpoint=str(tmp_path / name))) for name in ("a.pt", "moved.pt", "other.pt")]
    assert names[0] == names[1]
    assert len({*names, run_id(config())}) == 3
    assert run_id(config(model__checkpoint=str(tmp_path / "missing.pt")))  # refused when it is to be read
    with open_run(config(tmp_path / "runs", model__checkpoint=str(tmp_path / "a.pt"))) as run:
        assert run.config["model"]["checkpoint"] == str(tmp_path / "a.pt")


def test_of_a_file_that_a_trick_reads_the_content_is_in_the_name(tmp_path: Path) -> None:
    for name, level in (("a.yaml", 8), ("moved.yaml", 8), ("other.yaml", 9)):
        (tmp_path / name).write_text(f"[[[Rotate, 0.5, {level}]]]")
    names = []
    for name in ("a.yaml", "moved.yaml", "other.yaml"):
        cfg = config()
        cfg.tricks = {"autoaugment": OmegaConf.structured(tricks.load()["autoaugment"](policy=str(tmp_path / name)))}
        names.append(run_id(cfg))
    assert names[0] == names[1]
    assert len(set(names)) == 2


@pytest.mark.parametrize("key", [key for key in EXCLUDED if key not in ("seed", "data.fold", "tag")])
def test_what_does_not_matter_is_not(key: str) -> None:
    cfg = config()
    value = OmegaConf.select(cfg, key)
    others = {
        list: ["grad_norm"],
        bool: not value,
        int: 5,
        float: 0.5,
        str: "elsewhere",
        type(None): "elsewhere",
        dict: {"top1": 80.4},
    }
    named = {
        "eval.corruptions": "on_the_fly",
        "eval.corruptions_preset": "tiny",
        "data.on_bad_image": "skip",
        "data.cache": "ram",
        "data.classes": list("0123456789"),  # all of them
        "data.cache_limit": 5.0,
        "plugins": ["json"],  # any package that there is
    }
    other = (
        named.get(key)
        or others[dict if OmegaConf.is_dict(value) else list if OmegaConf.is_list(value) else type(value)]
    )
    OmegaConf.update(cfg, key, other)
    assert run_id(cfg) == run_id(config())


def test_repetitions_share_their_hash(tmp_path: Path) -> None:
    with open_run(config(tmp_path, seed=0)) as one, open_run(config(tmp_path, seed=1)) as other:
        assert one.config_hash == other.config_hash
        assert one.run_id != other.run_id


def test_the_resolved_config_is_written(tmp_path: Path) -> None:
    with open_run(config(tmp_path, chosen=("sk",), model__name="resnet50")) as run:
        assert run.directory == tmp_path / run.run_id
        written: Any = OmegaConf.to_container(OmegaConf.load(run.directory / "config.yaml"))
        assert (written["model"]["name"], written["model"]["stem"]) == ("resnet50", "auto")
        assert written["tricks"] == {"sk": run.config["tricks"]["sk"]}
        assert written["tricks"]["sk"]["reduction"] == 2


def test_checkpoint(tmp_path: Path) -> None:
    with open_run(config(tmp_path)) as run:
        assert run.checkpoint is None
        (run.directory / "last.ckpt").write_bytes(b"x")
        assert run.checkpoint == run.directory / "last.ckpt"


def test_nothing_is_left_of_a_run_that_did_not_begin(tmp_path: Path) -> None:
    with pytest.raises(UserError), open_run(config(tmp_path)):
        raise UserError("found out late")
    assert list(tmp_path.iterdir()) == []
    with open_run(config(tmp_path)) as run:
        (run.directory / "last.ckpt").write_bytes(b"x")
    with pytest.raises(UserError), open_run(config(tmp_path)):
        raise UserError("in a run that had begun")
    assert (run.directory / "last.ckpt").exists()


def test_which_run_it_would_be_is_told_without_making_one(tmp_path: Path) -> None:
    cfg = config(tmp_path / "runs")
    directory = tmp_path / "runs" / run_id(cfg)
    assert describe_run(cfg) == f"{directory}, not begun yet"
    assert not (tmp_path / "runs").exists()
    directory.mkdir(parents=True)
    (directory / "last.ckpt").touch()
    assert describe_run(cfg) == f"{directory}, to go on from last.ckpt"
    with open_run(cfg) as run:
        write_result(run, {**OF_RUN, "metrics": {"top1": 61.257}})
    assert describe_run(cfg) == f"{directory}, finished already: top-1 61.26 %"
    assert describe_run(config(tmp_path / "runs", seed=1)).endswith("not begun yet")


def test_finished(tmp_path: Path) -> None:
    with open_run(config(tmp_path)) as run:
        assert not run.finished
        write_result(run, RESULT)
    before = sorted(run.directory.iterdir())
    with open_run(config(tmp_path)) as again:
        assert again.finished
        assert again.result == RESULT
        text = describe_result(again)
    assert str(run.directory) in text
    assert "top1 97.5" in text
    assert sorted(run.directory.iterdir()) == before


DAMAGED = ["", '{"metrics": {"top1": 97', "[]", "{}", "null", '{"metrics": {}}', "[" * 100_000]


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_result_is_moved_aside(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_run(config(tmp_path)) as run:
        (run.directory / "result.json").write_text(content)
    with open_run(config(tmp_path)) as again:
        assert not again.finished
        assert not (run.directory / "result.json").exists()
        assert (run.directory / "result.json.damaged").read_text() == content
    assert "damaged" in capsys.readouterr().err


def test_write_result_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_run(config(tmp_path)) as run:
        write_result(run, {"metrics": {"loss": float("nan"), "top1": 1.5, "all": (float("inf"), 2)}})
        text = (run.directory / "result.json").read_text()
        assert json.loads(text) == {"metrics": {"loss": None, "top1": 1.5, "all": [None, 2]}}

        def full(handle: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            write_result(run, RESULT)
        assert (run.directory / "result.json").read_text() == text
        assert not list(run.directory.glob(".*.tmp"))


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write to .*file/.*Choose another place with output_dir="):
        open_run(config(tmp_path / "file"))


HOLDER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from omegaconf import OmegaConf
from assemble.schema import Config
from tests.helpers.synthetic_runs import OF_RUN
from assemble.runs.directory import open_run
from tests.helpers.synthetic_runs import OF_RUN
cfg = OmegaConf.structured(Config)
cfg.output_dir = sys.argv[2]
with open_run(cfg) as run:
    (run.directory / "last.ckpt").write_bytes(b"x")
    print("open", flush=True)
    time.sleep(60)
"""


@pytest.mark.process
def test_one_process_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", HOLDER, str(ROOT), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "open\n"
            with pytest.raises(UserError, match=f"worked on by process {holder.pid} already"):
                open_run(config(tmp_path))
            # The other ranks of the same run are welcome.
            for name in ("LOCAL_RANK", "RANK"):
                with monkeypatch.context() as patch:
                    patch.setenv(name, "1")
                    with open_run(config(tmp_path)) as run:
                        assert run.checkpoint is not None
            with monkeypatch.context() as patch:
                patch.setenv("LOCAL_RANK", "0")
                with pytest.raises(UserError, match="already"):
                    open_run(config(tmp_path))
        finally:
            holder.send_signal(signal.SIGKILL)
            holder.wait()
    with open_run(config(tmp_path)) as run:  # killed: free again at once
        assert run.checkpoint is not None


@pytest.mark.process
def test_looking_at_a_run_does_not_take_it(tmp_path: Path) -> None:
    def elsewhere(code: str) -> subprocess.Popen[str]:
        imports = (
            "import fcntl, sys, time\nfrom assemble.runs.directory import SEEN, trained_by\nfrom pathlib import Path"
        )
        program = f"{imports}\n{code}"
        return subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=-1, text=True)

    assert trained_by(tmp_path) is None  # no such run
    ask = "print(trained_by(Path(sys.argv[1])))"
    with lock(tmp_path), elsewhere(ask) as process:
        assert process.communicate()[0] == f"{os.getpid()}\n"
    with elsewhere(ask) as process:
        assert process.communicate()[0] == "None\n"
    # Somebody looks at the moment at which the run is taken.
    look = (
        "handle = open(sys.argv[1] + '/.lock')\nfcntl.lockf(handle, fcntl.LOCK_SH, 1, SEEN)\n"
        "print('looking', flush=True)\ntime.sleep(0.2)"
    )
    with elsewhere(look) as process:
        assert process.stdout
        assert process.stdout.readline() == "looking\n"
        lock(tmp_path).close()


def folders(root: Path, *classes: str, images: int = 2) -> Path:
    for split in ("train", "val"):
        for name in classes:
            (root / split / name).mkdir(parents=True)
            for i in range(images):
                Image.new("RGB", (8, 8), (i, 0, 0)).save(root / split / name / f"{i}.png")
    return root


def on(root: Path | str) -> str:
    return run_id(config(data__name="imagefolder", data__root=str(root)))


def test_the_same_data_is_the_same_run_wherever_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = on(folders(tmp_path / "a", "cat", "dog"))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    assert {on(root) for root in (tmp_path / "b", tmp_path / "link", "a", "./b/", "a/../b")} == {first}


@pytest.mark.parametrize("change", ["renamed class", "another image", "other content", "one less"])
def test_other_data_is_another_run(tmp_path: Path, change: str) -> None:
    root = folders(tmp_path / "a", "cat", "dog")
    first = on(root)
    if change == "renamed class":
        for split in ("train", "val"):
            (root / split / "cat").rename(root / split / "elk")
    elif change == "another image":
        shutil.copy(root / "train" / "cat" / "0.png", root / "train" / "cat" / "9.png")
    elif change == "other content":
        Image.new("RGB", (99, 99)).save(root / "train" / "cat" / "0.png")
        os.utime(root / "train" / "cat")  # asked again within one process, the times of folders are looked at
    else:
        (root / "val" / "dog" / "1.png").unlink()
    assert on(root) != first


def test_a_cache_elsewhere_is_the_same_run() -> None:
    names = set()
    for cache in ("logits", "/elsewhere/logits"):
        cfg = config()
        cfg.tricks = {"distillation": OmegaConf.structured(tricks.load()["distillation"](teacher="t", cache=cache))}
        names.add(run_id(cfg))
    assert len(names) == 1


def test_a_new_key_at_its_default_changes_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = plain_config(config(chosen=("sk",), optim__lr=0.2))
    less = {**whole, "trainer": {k: v for k, v in whole["trainer"].items() if k != "checkpoint_minutes"}}
    assert config_hash(whole) == config_hash(less)


def test_a_tag_is_another_run_of_the_same_configuration(tmp_path: Path) -> None:
    with open_run(config(tmp_path, tag="again")) as tagged, open_run(config(tmp_path)) as plain:
        assert tagged.config_hash == plain.config_hash
        assert tagged.run_id == f"tiny-digits-plain-s0-again-{plain.config_hash}"
        assert tagged.directory != plain.directory


@pytest.mark.parametrize("tag", ["a/b", "a b", "-", "", "a" * 33, ".", "..", ".a"])
def test_a_tag_that_is_no_part_of_a_name(tag: str) -> None:
    with pytest.raises(UserError, match="stands in names of directories"):
        check_settings(Config(tag=tag), need_weights=True)


def test_a_folder_of_plots_is_not_named_like_one(tmp_path):
    with pytest.raises(UserError, match=r"plot=out/a\.png is to be a folder of plots: write plot=out/a$"):
        check_settings(Config(plot="out/a.png"), need_weights=True)
    check_settings(Config(plot="out/a"), need_weights=True)


def test_a_run_whose_name_has_not_the_datas_is_found(tmp_path: Path) -> None:
    plain = plain_config(config(tmp_path))
    old = tmp_path / f"tiny-plain-s0-{config_hash(plain)}"
    old.mkdir(parents=True)
    assert run_id(config(tmp_path)) == old.name
    assert run_id(config(tmp_path, tag="again")) != old.name
    (tmp_path / run_name(plain, config_hash(plain))).mkdir()
    assert run_id(config(tmp_path)) != old.name


def test_a_run_of_the_first_rule_is_found(tmp_path: Path) -> None:
    plain = plain_config(config(tmp_path, seed=3))
    old = tmp_path / former_name(plain, first_hash(plain))
    old.mkdir(parents=True)
    (old / "result.json").write_text(json.dumps(RESULT))
    assert first_hash(plain) != config_hash(plain)
    with open_run(config(tmp_path, seed=3)) as run:
        assert run.finished
        assert run.directory == old


def test_a_run_in_which_nothing_happened_leaves_nothing(tmp_path: Path) -> None:
    with open_run(config(tmp_path / "runs")):
        pass
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    with open_run(config(tmp_path / "mine")):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_the_hash_of_the_first_rule_is_as_it_was() -> None:
    """Computed by the last version that had it alone, for its default configuration."""
    assert first_hash(plain_config(config(optim__lr=0.2, model__width=8))) == "b95fdfdd"
    turned = plain_config(config(optim__lr=0.2, model__width=8, data__exif_orientation=True))
    assert first_hash(turned) != "b95fdfdd"  # what it could not say, no run of it has
    now = plain_config(config(chosen=("distillation",)))
    before, mixed = copy.deepcopy(now), copy.deepcopy(now)
    del before["tricks"]["distillation"]["sees_mixed"]
    mixed["tricks"]["distillation"]["sees_mixed"] = True
    assert first_hash(now) == first_hash(before) != first_hash(mixed)
