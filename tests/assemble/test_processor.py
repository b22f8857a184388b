"""What is said of a precision that the processor has no instructions for."""

from pathlib import Path

import pytest
import torch

from assemble import create_model
from assemble.models.fold import for_inference
from assemble.planning.explain import slow_precision
from assemble.processor import emulates_bfloat16
from assemble.schema import TrainerConfig


@pytest.mark.parametrize(
    ("line", "emulated"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 avx512_fp16", False),
        ("flags\t\t: fpu avx2 amx_bf16", False),
        ("Features\t: fp asimd i8mm bf16", False),
        ("flags\t\t: fpu avx2 avx512f", True),
        ("model name\t: Processor with bf16\nflags\t\t: fpu avx2", True),
    ],
)
def test_instructions_for_bfloat16(line: str, emulated: bool, tmp_path: Path) -> None:
    described = tmp_path / "cpuinfo"
    described.write_text(f"processor\t: 0\n{line}\n")
    assert emulates_bfloat16(described) is emulated
    assert not emulates_bfloat16(tmp_path / "of another system")


def test_a_training_that_would_be_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    bf16 = TrainerConfig(accelerator="cpu", precision="bf16-mixed")
    for emulated in (True, False):
        monkeypatch.setattr("assemble.planning.explain.emulates_bfloat16", lambda answer=emulated: answer)
        assert slow_precision(bf16) is emulated
    monkeypatch.setattr("assemble.planning.explain.emulates_bfloat16", lambda: True)
    assert not slow_precision(TrainerConfig(accelerator="cpu"))


def test_slow_inference_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assemble.models.fold.emulates_bfloat16", lambda: True)
    network = create_model("tiny", num_classes=3).eval()
    with pytest.warns(UserWarning, match=r"no instructions for bfloat16.*take torch\.float32"):
        for_inference(network, torch.bfloat16, 32)
    for_inference(network, torch.float32, 32)
