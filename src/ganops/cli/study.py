"""The command that runs a published comparison again."""

from pathlib import Path
from typing import Annotated

import typer

from ganops.cli.app import LOOK, app, looking
from ganops.core.terminal import duration, say


@app.command(rich_help_panel=LOOK)
def study(
    study: Annotated[str, typer.Argument(help="Its name in experiments/, or a folder with a study.yaml.")],
    scale: Annotated[
        float, typer.Option(help="Share of its length, configurations, seeds and samples: above 0, at most 1.")
    ],
    data: Annotated[str | None, typer.Option(help="Another source than the study's, such as fashion-mnist.")] = None,
    models: Annotated[str | None, typer.Option(help="Some of its models, separated by commas.")] = None,
    out: Annotated[Path | None, typer.Option(help="Its folder; without it, reports/studies/NAME-SCALE.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check and print the plan.")] = False,
) -> None:
    """Run a published comparison again at a scale: our ranking beside its own; the same command continues."""
    with looking("study"):
        from ganops.experiment import checks  # torch takes seconds to import
        from ganops.studies import runner
        from ganops.studies import study as studies

        found = studies.load(study)
        plan = studies.plan(found, scale, data=data, models=models.split(",") if models else None)
        for experiment in plan.experiments.values():
            checks.check(experiment)
        say("study", plan.summary())
        say("study", f"about {duration(runner.estimate(plan), rough=True)} on {runner.place(plan)}")
    if dry_run:
        return
    name = Path(study).resolve().name
    folder = out or Path(f"reports/studies/{name}-{scale:g}" + (f"-{Path(data).name}" if data else ""))
    outcome = runner.run(plan, folder, lambda line: say("study", line))
    say("study", outcome.verdict())
    say("study", f"{folder}/report.html   {folder}/table.md   {folder}/results.json")
