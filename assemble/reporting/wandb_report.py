"""The report in W&B: the table of a run of type ``report``, and a workspace in which the training runs are compared.

The training runs are there already, one for each job (``assemble/runs/loggers.py``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from assemble.errors import UserError
from assemble.reporting.page import page
from assemble.reporting.report import Report
from assemble.reporting.text import records
from assemble.runs.wandb_key import offline, wandb_key

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Workspace

NAME = "Ablation"


def log_report(report: Report) -> list[str]:
    """Log the tables and the page, save the workspace; returns lines about both."""
    import wandb

    project, entity = destination(report)
    folder = report.runs[0].directory.parent
    run = wandb.init(
        project=project,
        entity=entity,
        job_type="report",
        dir=folder,
        config={"metric": report.metric.key, "runs": [run.run_id for run in report.runs]},
        settings=wandb.Settings(silent=True),
        **offline(),
    )
    rows = records(report.tables)
    columns: Any = list(rows[0])
    cells: Any = [[row[column] for column in columns] for row in rows]
    gains: Any = gain_rows(report)
    run.log(
        {
            "ablation": wandb.Table(columns=columns, data=cells),
            "gains": wandb.Table(columns=GAINS, data=gains),
            "page": wandb.Html(page(report), inject=False),
        }
    )
    where = f"offline: wandb sync {Path(run.dir).parent}" if run.offline else run.url
    entity = entity or run.entity
    run.finish()
    return [f"W&B: table, gains and page ({where})", save_workspace(report, project, entity)]


GAINS: Any = ["data", "trick", "context", "n", "gain", "low", "high", "told_apart", "order_error", "seed_error"]
"""Columns of the table of gains by trick."""


def gain_rows(report: Report) -> list[list[Any]]:
    """Return the gains by trick as rows of `GAINS`."""
    rows = []
    for title, gains in report.gains.items():
        for found in gains:
            low, high = found.gain.interval or (None, None)
            numbers = [found.gain.n, found.gain.mean, low, high, found.gain.told_apart]
            rows.append([title, found.trick, found.context, *numbers, found.order_error, found.seed_error])
    return rows


def destination(report: Report) -> tuple[str, str | None]:
    """Return project and entity of the training runs; the default project where they were not logged to W&B."""
    for run in report.runs:
        logger = (run.config.get("logger") or {}).get("wandb")
        if logger:
            return logger.get("project") or "assemble", logger.get("entity")
    return "assemble", None


def save_workspace(report: Report, project: str, entity: str | None) -> str:
    """Save the workspace where W&B can be reached; returns a line about it."""
    if not wandb_key():
        return (
            "workspace: not made, since no W&B key is set; log in with wandb login, sync the runs, and run this again"
        )
    try:
        workspace = build_workspace(report, project, entity or "")
    except ModuleNotFoundError:
        return "workspace: not made; it needs wandb-workspaces: pip install -e '.[workspaces]'"
    try:
        return f"workspace: {workspace.save().url}"
    except Exception as error:  # the service's own, of many kinds
        raise UserError(f"the workspace could not be saved: {' '.join(str(error).split())}") from error


def build_workspace(report: Report, project: str, entity: str) -> Workspace:
    """Build the workspace's specification.

    It holds the training runs by configuration, their scores, curves, cost and settings.
    """
    import wandb_workspaces.reports.v2 as panels
    import wandb_workspaces.workspaces as ws

    key = report.metric.key.partition(" ")[0]  # without the conditions of `assemble.reporting.robustness`
    score = panels.SummaryMetric(f"result.metrics.{key}")
    compare = [
        panels.BarPlot(title=report.metric.title, metrics=[score], groupby_aggfunc="mean", groupby_rangefunc="stddev"),
        panels.ScatterPlot(title="score over multiply-adds", x=panels.SummaryMetric("result.macs"), y=score),
        panels.RunComparer(diff_only=True),
    ]
    curves: Any = [
        panels.LinePlot(
            title=f"{split} {name}",
            x="epoch",
            y=[f"{split}/{name}"],
            groupby_aggfunc="mean",
            groupby_rangefunc="stddev",
        )
        for split, name in (("val", "top1"), ("val", "loss"), ("train", "loss"))
    ]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=NAME,
        sections=[
            ws.Section("Ablation", panels=compare, is_open=True),
            ws.Section("Learning curves", panels=curves, is_open=True),
        ],
        runset_settings=ws.RunsetSettings(
            filters=[ws.Metric("JobType") == "train", ws.Metric("ID").isin([run.run_id for run in report.runs])],
            groupby=[ws.Summary("result.config_hash")],
            order=[ws.Ordering(ws.Summary(f"result.metrics.{key}"), ascending=not report.metric.more_is_better)],
        ),
    )
