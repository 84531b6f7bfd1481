"""The registry's answers to the doctor, from a process of its own: MLflow takes seconds to import.

python -m ganops.registry.consult FOLDER
"""

import gc
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ganops import config
from ganops.core.errors import UserError
from ganops.registry import precedents
from ganops.registry.relocation import DATABASE


def store(root: Path) -> str | None:
    """Return the server's address; None: the store is embedded in the project, or the first registration makes it.

    Raises:
        RegistryError: It cannot be reached or used.
    """
    server = os.environ.get("MLFLOW_TRACKING_URI")
    if server or (root / DATABASE).is_file():  # to connect would make the embedded store
        from ganops.registry import tracking

        tracking.connect(root)
    return tracking.shown(tracking.store_uri(root)) if server else None


def concerns(root: Path) -> list[str]:
    """Return what earlier runs of the same name say against this one, see `precedents`."""
    return precedents.concerns(config.load(root / "params.yaml"), root)


def main(root: Path) -> None:
    """Print a line of JSON: question -> its answer, or the sentence of an error."""
    gc.disable()  # imports make a million objects that stay
    looks: dict[str, Callable[[Path], Any]] = {"store": store, "concerns": concerns}
    found = {}
    for what, look in looks.items():
        try:
            found[what] = {"said": look(root)}
        except UserError as error:
            found[what] = {"refused": str(error)}
    print(json.dumps(found), flush=True)
    os._exit(0)  # to take MLflow down in order takes a second, and nothing is left to be done


if __name__ == "__main__":
    main(Path(sys.argv[1]))
