"""Files that a finished training leaves: the best generator, its numbers, its curves and its film strip."""

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ganops.core.files import atomic, atomic_folder, write_json
from ganops.experiment.checkpoint import save_weights
from ganops.experiment.run import NOT_IMPROVED, Run
from ganops.generator.artefact import DISCRIMINATOR, WARM_UP
from ganops.losses import LOSSES

Row = dict[str, float]


def publish(
    run: Run,
    *,
    generator: Path,
    metrics: Path,
    history: Path,
    validation: Path,
    pictures: Path,
    speed: Path | None = None,
) -> str:
    """Writes what the train stage promises: the best generator, its numbers, the curves and the film strip.

    Where a warm-up preceded the game, its best weights lie beside the generator's. The same training again gives the
    same files, but for its numbers, which name the machine, and its speed.

    Returns:
        One line for a person.

    Raises:
        TrainingError: No weights have been kept yet.
    """
    apart = ("images_per_second", _distance(run))
    _write_table(history, [{key: row[key] for key in row if key not in apart} for row in run.history])
    if speed:
        _write_table(speed, [{key: row[key] for key in ("kimg", "images_per_second")} for row in run.history])
    judged = [(row["kimg"], row[_distance(run)]) for row in run.history if _distance(run) in row]
    _write_table(validation, [{"kimg": kimg, "distance": distance} for kimg, distance in judged])
    write_json(metrics, _numbers(run))
    _write_weights(run, generator)
    return summary(run, _write_pictures(run, pictures))


def summary(run: Run, lost: Sequence[str] = ()) -> str:
    """Return one line for a person; `lost`: names of pictures that are damaged or missing."""
    parts = [f"{run.history[-1]['kimg']:.0f} kimg"]
    if (name := _distance(run)) and (best := run.selection.best):
        shown = f"{name.removesuffix('_validation')} {best.row[name]:.1f}"
        parts.append(f"best {shown} on validation at {best.kimg:.0f} kimg")
    if run.selection.improved is False:
        parts.append(NOT_IMPROVED)
    if lost:
        parts.append(f"damaged or missing pictures: {', '.join(lost)}")
    return ", ".join(parts)


def _distance(run: Run) -> str:
    """Return the key of the validation distance in the history; empty: there is none."""
    return run.judge.name if run.judge else ""


def _numbers(run: Run) -> dict[str, Any]:
    """Return the numbers of a training and of the machine."""
    best = run.selection.best
    assert best
    name, speeds = _distance(run), sorted(row["images_per_second"] for row in run.history)
    numbers: dict[str, Any] = {
        "kimg": run.history[-1]["kimg"],
        "best_kimg": best.kimg,
        **{key: value for key, value in best.row.items() if key == name},
        "images_per_second": speeds[len(speeds) // 2],
        "seconds": _seconds(run.history),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if warm_up := run.selection.warm_up:
        numbers |= {f"warm_up_{key}": value for key, value in warm_up.row.items() if key in ("kimg", name)}
        numbers["improved_on_warm_up"] = run.selection.improved
    return numbers | run.hardware


def _seconds(history: Sequence[Row]) -> float:
    """Seconds that the steps of a training took, without judgements and checkpoints."""
    starts = [0.0, *(row["kimg"] for row in history)]
    pairs = zip(history, starts, strict=False)
    return sum(1000 * (row["kimg"] - start) / row["images_per_second"] for row, start in pairs)


def _write_weights(run: Run, folder: Path) -> None:
    """Writes the best generator, and beside it the encoder, the D of a game and the best weights of its warm-up."""
    run.best_generator().save(folder)
    if run.experiment.loss.name in LOSSES:  # for whoever begins with both
        with atomic(folder / DISCRIMINATOR) as draft:
            save_weights({name: tensor.cpu() for name, tensor in run.state.D.state_dict().items()}, draft)
    if encoder := run.best_encoder():
        encoder.save(folder)
    if warm_up := run.best_of_warm_up():
        with atomic(folder / WARM_UP) as draft:
            save_weights(warm_up.network.state_dict(), draft)


def _write_pictures(run: Run, folder: Path) -> list[str]:
    """Writes the film strip; returns the names of pictures that are damaged or missing, on which no weight hangs."""
    lost = []
    with atomic_folder(folder) as draft:
        for name in run.log.names:
            if not run.is_drawn(round(float(name.removesuffix(".png")) * 1000 / run.recipe.samples)):
                continue  # the end of a shorter training, with which this one began
            try:
                (draft / name).write_bytes(run.log.picture(name))
            except (FileNotFoundError, ValueError):
                lost.append(name)
    return lost


def _write_table(path: Path, rows: Sequence[Row]) -> None:
    """CSV with the union of the keys as columns; a value that a row lacks is left empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with atomic(path) as draft, draft.open("w", newline="") as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        table.writerows(rows)
