"""The addresses of MLflow's pages: below the server's, or relative to whatever serves the embedded store.

They name the view of machine learning: MLflow 3.17 opens that of conversations where neither the address nor the
browser says otherwise, whatever the tags of the experiment.
"""

from pathlib import Path
from urllib.parse import quote, urlencode

from ganops.metrics import catalogue
from ganops.registry.tracking import MlflowClient, grouped, shown, store_uri

VIEW = {"workflowType": "machine_learning"}
"""Query of an address that names the view."""


def server(root: Path) -> str:
    """Return the address of the server, with a slash in the end; empty: the project has none."""
    uri = store_uri(root)
    return f"{shown(uri).rstrip('/')}/" if uri.startswith(("http://", "https://")) else ""


def run(root: Path, experiment: str, run: str) -> str:
    """Return the address of a run's page."""
    return f"{server(root)}#/experiments/{experiment}/runs/{run}?{urlencode(VIEW)}"


def version(root: Path, name: str, version: str) -> str:
    """Return the address of the page of a registered model's version."""
    return f"{server(root)}#/models/{quote(name, safe='')}/versions/{version}"


def runs(client: MlflowClient, experiment: str) -> str:
    """Return the address of an experiment's table of runs below that of a server, with the best one first."""
    asked = dict(VIEW)
    known = {key for run in client.search_runs([experiment]) for key in run.data.metrics}
    figures = [name.removeprefix("test/") for name in known if name.startswith("test/")]
    if figures and (first := next(iter(catalogue.headline(figures)), None)):
        metric = catalogue.of(first)
        lower = metric is not None and metric.better == "lower"
        asked |= {"orderByKey": f"metrics.`{grouped(first, 'test')}`", "orderByAsc": str(lower).lower()}
    return f"#/experiments/{experiment}/runs?{urlencode(asked)}"
