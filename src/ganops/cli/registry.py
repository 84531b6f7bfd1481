"""Commands about the registry: who is the champion, who shall be it, and where a version comes from."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganops.cli.app import REGISTRY, AsJson, app, looking, params, show
from ganops.core.listening import bound
from ganops.core.terminal import say

if TYPE_CHECKING:
    from ganops.registry.model import Model
    from ganops.registry.moves import Move

registry = typer.Typer(no_args_is_help=True, help="The registry itself.")
app.add_typer(registry, name="registry", rich_help_panel=REGISTRY)

Name = Annotated[str | None, typer.Option(help="Of the registered model; without it, register.name of params.yaml.")]
Why = Annotated[str, typer.Option(help="The reason, for the record.")]
Version = Annotated[str, typer.Argument(help="3, v3, an alias such as champion, or models:/NAME@ALIAS.")]


def _name(name: str | None) -> str:
    return name or params().register_.name


def _model(name: str | None) -> "Model":
    from ganops.registry import tracking  # mlflow takes seconds to import
    from ganops.registry.model import Model

    wanted = _name(name)  # before a store is made in a folder that is no project
    return Model(tracking.connect(Path()), wanted)


def _moves(name: str) -> "list[Move]":
    from ganops.registry import champions  # mlflow takes seconds to import

    return champions.history(_model(name))


@app.command(rich_help_panel=REGISTRY)
def promote(version: Version, why: Why = "", name: Name = None, as_json: AsJson = False) -> None:
    """Make a version the champion, whatever the gate said of it."""
    with looking("promote", as_json):
        from ganops.registry import champions
        from ganops.registry.model import Model
        from ganops.registry.moves import relist

        model = _model(name)
        found = model.resolve(version)
        model = Model(model.client, found.name)
        former = champions.promote(model, str(found.version), kind="promote", why=why)
        relist(Path(), model.name, lambda: champions.history(model))
    _tell("promote", found.name, str(found.version), former, as_json)


@app.command(rich_help_panel=REGISTRY)
def rollback(why: Why = "", name: Name = None, as_json: AsJson = False) -> None:
    """Make the version champion that was it before the present one."""
    with looking("rollback", as_json):
        from ganops.registry import champions
        from ganops.registry.moves import relist

        model = _model(name)
        former = champions.current(model)
        champion = champions.rollback(model, why=why)
        relist(Path(), model.name, lambda: champions.history(model))
    _tell("rollback", model.name, champion, former, as_json)


def _tell(stage: str, name: str, version: str, former: str | None, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"name": name, "champion": int(version), "former": None if former is None else int(former)}))
    else:
        before = f"; before it: v{former}" if former else ""
        say(stage, f"{name} v{version} is the champion{before}")


@app.command(rich_help_panel=REGISTRY)
def history(name: Name = None, as_json: AsJson = False) -> None:
    """List every change of the champion: when, by whom, how and why."""
    with looking("history", as_json):
        from ganops.registry import moves

        wanted = _name(name)
        found = moves.listed(Path(), wanted, lambda: _moves(wanted))
    show([asdict(move) for move in found], lambda: moves.table(wanted, found), as_json)


@app.command(rich_help_panel=REGISTRY)
def lineage(
    version: Version = "champion",
    lock: Annotated[Path | None, typer.Option(help="A dvc.lock: the latest version that its generator became.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every hash of DVC's and every parameter as well.")] = False,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Tell where a version comes from: run, commit, job, data, parameters; or which version a dvc.lock made."""
    with looking("lineage", as_json):
        from ganops.registry import lineage as provenance

        model = _model(name)
        which = str(provenance.of_lock(model, lock)[-1]) if lock else version
        found = provenance.lineage(model, which)
    show(found, lambda: provenance.show(found, every), as_json)


@app.command(rich_help_panel=REGISTRY)
def ui(
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Of 127.0.0.1, for the store that is embedded in the project.")
    ] = 5000,
) -> None:
    """Serve MLflow's pages of this project, and print the address of its runs; of a server, print that alone."""
    here = Path()
    with looking("ui"):
        from ganops.registry import pages, tracking

        client, server = tracking.connect(here), pages.server(here)
        runs = pages.runs(client, tracking.ensure_experiment(client, _name(None), here))
    if not server:
        with bound("127.0.0.1", port, "choose another --port"):
            pass  # MLflow says nothing of a port that another has, and ends as if all were well
    say("ui", f"{server or f'http://127.0.0.1:{port}/'}{runs}")
    if not server:
        # eight processes more, for judging answers of language models
        environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **os.environ}
        environment["MLFLOW_BACKEND_STORE_URI"] = tracking.store_uri(here)  # it may hold a password
        where = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        with suppress(KeyboardInterrupt):
            subprocess.run([sys.executable, "-m", "mlflow", "ui", *where], env=environment, check=True)


@registry.command()
def verify(
    every: Annotated[bool, typer.Option("--all", help="The files of all versions, not only of those in use.")] = False,
    name: Name = None,
    as_json: AsJson = False,
) -> None:
    """Look whether the registry is as it was left; the exit code is 1 where something must be mended."""
    with looking("verify", as_json):
        from ganops.registry import verify as audit

        model = _name(name)
        found = list(audit.verify(Path(), model, every=every))
    show([asdict(each) for each in found], lambda: audit.table(model, found), as_json)
    sys.exit(any(each.state == "bad" for each in found))
