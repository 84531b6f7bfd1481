"""Writes the digest that its registry gives an image now beside the image's tag, wherever infra/ names it: `make pin`.

It asks by `docker buildx imagetools inspect`, which pulls nothing. Images of registry.example.com, and those that
compose builds here, are left alone.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

INFRA = Path(__file__).parent
IMAGE = re.compile(r"^(\s*(?:image:|ARG BASE=)\s*)([\w.:/-]+:[\w.-]+)(?:@sha256:[0-9a-f]{64})?", re.MULTILINE)
"""A line that names an image by its tag, in YAML or as the base of a Dockerfile."""
OURS = ("registry.example.com/", "ganops-mlflow:")


def digest(image: str) -> str:
    """The digest that the registry has under this tag: of all platforms together, where it has several."""
    command = ["docker", "buildx", "imagetools", "inspect", image, "--format", "{{json .Manifest}}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{image}: its registry was not reached: {done.stderr.strip()}")
    found = json.loads(done.stdout)["digest"]
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", found):
        sys.exit(f"{image}: expected a digest sha256:..., got {found}")
    return str(found)


def main(infra: Path = INFRA) -> None:
    """Pins all of them, or nothing where one is not known."""
    texts = {path: path.read_text(encoding="utf-8") for path in [*infra.rglob("Dockerfile"), *infra.rglob("*.yaml")]}
    named = {found[2] for text in texts.values() for found in IMAGE.finditer(text)}
    digests = {image: digest(image) for image in sorted(named) if not image.startswith(OURS)}
    for path, text in texts.items():
        pinned = IMAGE.sub(
            lambda found: f"{found[1]}{found[2]}@{digests[found[2]]}" if found[2] in digests else found[0], text
        )
        if pinned != text:
            path.write_text(pinned, encoding="utf-8")
            print(path.relative_to(infra.parent))


if __name__ == "__main__":
    main()
