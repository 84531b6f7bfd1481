"""Labels and groups that stand in the names of a source's files."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ganops.core import patterns
from ganops.core.errors import ConfigError, DataError
from ganops.data.sources.item import Item, ItemError, Source

AUTO = "auto"
"""Value of `data.labels`: the labels of the source."""

NONE = "none"
"""Value of `data.labels` and `data.group`: there are none."""


@dataclass(frozen=True)
class Naming:
    """Patterns of `data.labels`, over the name of a file, and of `data.group`, over its path in the source."""

    labels: re.Pattern[str] | None
    """Pattern of a label; None: labels are the source's, or there are none."""
    group: re.Pattern[str] | None
    """Pattern of a group; None: there are none."""

    @classmethod
    def of(cls, labels: str, group: str) -> "Naming":
        """Return the patterns in two values of a user.

        Raises:
            ConfigError: one is no pattern with one group.
        """
        return cls(_pattern("labels", labels, (AUTO, NONE)), _pattern("group", group, (NONE,)))

    def __bool__(self) -> bool:
        return self.labels is not None or self.group is not None

    def applied(self, source: Source) -> Source:
        """Return the source with labels and groups as the names of its items say; what has none is rejected."""
        return replace(source, items=self._named(source.items)) if self else source

    def _named(self, items: Iterator[Item]) -> Iterator[Item]:
        """Yield the items.

        Raises:
            DataError: a pattern is found in no name at all.
        """
        searched, last = 0, ""
        found = {"labels": 0, "group": 0}
        for item in items:
            if isinstance(item.content, ItemError):
                yield item
                continue
            searched, last = searched + 1, item.path or item.name
            parts: dict[str, str | None] = {}
            for key, pattern in (("labels", self.labels), ("group", self.group)):
                if pattern:
                    parts[key] = patterns.part(pattern, last, folders=key == "group")
                    found[key] += parts[key] is not None
            missing = " and ".join(f"data.{key}" for key, part in parts.items() if part is None)
            reason = f"its name has nothing that the pattern of {missing} matches"
            yield item._replace(
                label=parts.get("labels", item.label),
                group=parts.get("group"),
                content=ItemError(reason) if missing else item.content,
            )
        for key, pattern in (("labels", self.labels), ("group", self.group)):
            if pattern and searched and not found[key]:
                problem = f"{pattern.pattern!r} matches none of {searched:,} names, the last of which is {last!r}"
                raise DataError(f"data.{key}: {problem}. A name is searched without its suffix.")


def _pattern(key: str, value: str, words: tuple[str, ...]) -> re.Pattern[str] | None:
    try:
        return patterns.compiled(value, words)
    except ValueError as error:
        raise ConfigError(f"data.{key}: {error}") from error
