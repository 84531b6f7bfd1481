"""The name of a set of samples and their licence: stated by a person, or by the source itself."""

from dataclasses import asdict, dataclass
from pathlib import Path

from ganops.core.errors import DataError
from ganops.core.files import read_json, write_json
from ganops.core.storage import scheme
from ganops.data.sources import locate
from ganops.data.sources.item import about, printable

AUTO = "auto"
"""Value in the place of a name or a licence: that of the source, if it states one."""

UNSTATED = "not stated"
"""Value in the place of a licence that nobody has stated."""

_LENGTH = 500
"""Characters of a name or a licence; they are shown everywhere."""


@dataclass(frozen=True)
class About:
    """Name and licence of a set of samples, for people."""

    name: str
    """Name for people: Fashion-MNIST (10,000 test images), or the last part of the source's path."""
    licence: str | None
    """Licence of the samples; None: nobody has stated it."""

    @classmethod
    def of_source(cls, source: Path | str, name: str = AUTO, licence: str = AUTO) -> "About":
        """Return name and licence of a source (as `sources.locate` takes it); those that a person states come first.

        Raises:
            DataError: The source does not exist, or its own file about it cannot be read.
        """
        if scheme(source):  # its name is in the address: nobody is asked for it
            last, own = str(source).rstrip("/").rpartition("/")[2], {}
        else:
            path = Path(str(locate(source)))
            last, own = printable(path.name), _own(path)
        stated = own.get("licence") if licence == AUTO else licence
        return cls(own.get("name", last) if name == AUTO else name, stated)

    @classmethod
    def read(cls, path: Path) -> "About":
        """Read the file that `write` wrote.

        Raises:
            DataError: There is no such file.
        """
        try:
            return cls(**read_json(path))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{path} cannot be read ({error}): run the stage prepare") from error

    def write(self, path: Path) -> None:
        """Writes it as JSON."""
        write_json(path, asdict(self))


def _own(folder: Path) -> dict[str, str]:
    """Return what the folder's own file says of it."""
    content = about(folder)
    own = {key: content[key] for key in ("name", "licence") if isinstance(content.get(key), str)}
    if too_long := [key for key, text in own.items() if len(text) > _LENGTH]:
        raise DataError(f"data.source: {folder}: {too_long[0]}: expected at most {_LENGTH} characters")
    return {key: printable(text) for key, text in own.items()}
