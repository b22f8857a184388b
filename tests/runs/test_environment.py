"""What result.json says about the machine and the code."""

import json

from assemble.runs.environment import describe_environment


def test_environment() -> None:
    environment = describe_environment()
    assert set(environment["versions"]) == {"python", "torch", "pytorch_lightning", "timm", "hydra"}
    assert all(environment["versions"].values())
    assert environment["hardware"]["cpu"]
    assert environment["hardware"]["cpu_count"] >= 1
    json.dumps(environment)
