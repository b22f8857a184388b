"""One function for each format: a network -> the bytes of a file, and bytes -> the function that they stand for."""

from __future__ import annotations

import copy
import io
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from assemble.errors import UserError
from assemble.exporting.deployed import Deployed, Function, noise
from assemble.runs.result import yaml_text
from assemble.scoring.trained import Trained


def safetensors(state: Mapping[str, Tensor]) -> bytes:
    """Return the file of the weights as they were trained."""
    from safetensors.torch import save

    return save({name: value.contiguous() for name, value in state.items()}, {"format": "pt"})


def configuration(config: Mapping[str, Any]) -> bytes:
    """Return config.yaml, without which nobody knows which network weights are of."""
    return yaml_text(config).encode()


def run_safetensors(content: bytes, trained: Trained) -> Function:
    """Load the weights into a network like ``trained``."""
    from safetensors.torch import load

    network = copy.deepcopy(trained.network)
    for value in network.state_dict().values():
        value.zero_()
    network.load_state_dict(load(content))
    return replace(trained, network=network)


def metadata(trained: Trained) -> dict[str, str]:
    """Return what a file says of its outputs and its input, as text: JSON under ``classes``, where the names are known.

    ``label_offset`` outputs come before the first of the classes, ``image_size`` is in pixels.
    """
    about = {"image_size": str(trained.size), "label_offset": str(trained.view.get("label_offset") or 0)}
    names = trained.class_names
    return {**about, "classes": json.dumps(list(names), ensure_ascii=False)} if names else about


def pt2(network: Deployed, size: int, about: Mapping[str, str]) -> bytes:
    """Export a program of torch.export, for any batch size, with ``about`` among its extra files."""
    file = io.BytesIO()
    program = torch.export.export(network, (noise(2, size),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    torch.export.save(program, file, extra_files=dict(about))
    return file.getvalue()


def run_pt2(content: bytes) -> Function:
    """Load the program in PyTorch."""
    return torch.export.load(io.BytesIO(content)).module()


def onnx(network: nn.Module, size: int) -> bytes:
    """Export ONNX with the input ``images`` (B, 3, size, size) and the output ``logits``, for any batch size."""
    with _quiet():
        program: Any = torch.onnx.export(
            network,
            (noise(2, size),),
            dynamo=True,
            verbose=False,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
        )
    return program.model_proto.SerializeToString()


def described(content: bytes, about: Mapping[str, str]) -> bytes:
    """Return the same ONNX model, with ``about`` as its metadata."""
    import onnx

    model = onnx.load_from_string(content)
    onnx.helper.set_model_props(model, dict(about))
    return model.SerializeToString()


def run_onnx(content: bytes) -> Function:
    """Load the model in onnxruntime, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])


def int8(content: bytes, calibration: Tensor) -> bytes:
    """Return ONNX with weights and activations of 8 bits, from the ONNX model ``content``.

    Ranges of activations are those seen on the images ``calibration`` (N, 3, S, S); weights have one scale for each
    output channel. Quantise and dequantise nodes stand around each operation, from which runtimes on x86 (VNNI) and
    ARM (dot product) take integer kernels; onnxruntime finds more of them where activations are unsigned.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter(calibration.split(16))

        def get_next(self) -> Any:
            batch = next(self.batches, None)
            return None if batch is None else {"images": batch.numpy()}

    with tempfile.TemporaryDirectory() as folder, _quiet():
        float32, prepared, quantised = (Path(folder) / name for name in ("float32", "prepared", "quantised"))
        float32.write_bytes(pooled(content))
        quant_pre_process(float32, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantised,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
        )
        return quantised.read_bytes()


def pooled(content: bytes) -> bytes:
    """Return the same ONNX model, where means over height and width that keep both are global pools.

    onnxruntime pools in 8 bits but takes means in 32, which makes attention (SE, SK) slower than in float32.
    """
    import onnx

    model = onnx.load_from_string(content)
    lists = {value.name: onnx.numpy_helper.to_array(value).ravel().tolist() for value in model.graph.initializer}
    for node in model.graph.node:
        keeps = all(attribute.i for attribute in node.attribute if attribute.name == "keepdims")
        if node.op_type == "ReduceMean" and keeps and lists.get(node.input[-1]) == [2, 3]:
            pool = onnx.helper.make_node("GlobalAveragePool", node.input[:1], node.output, node.name)
            node.CopyFrom(pool)
    return model.SerializeToString()


def check_installed(*formats: str) -> None:
    """Raise `UserError` where a package that a format needs is missing."""
    import importlib.util

    for package in ("onnx", "onnxscript", "onnxruntime"):
        if {"onnx", "int8"} & set(formats) and importlib.util.find_spec(package) is None:
            raise UserError(f"formats=[{','.join(formats)}] needs {package}: pip install -e '.[onnx]'")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporters' remarks about themselves."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
