"""Orders of `ganops serve`: what a client asks for, in a body or in an address, and what is wrong with it."""

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError
from starlette.datastructures import QueryParams

from ganops.serving.limits import Refused, shortened

FORMATS = ("json", "png", "npy")
"""Formats of all samples; those that can follow one another in a file have one more (`Spec.joined_format`)."""
JOINED = ("wav", "txt", "webp")
"""Formats of `Spec.joined_format`: wav of sounds, txt of texts, webp of films."""
MEDIA = {
    "json": "application/json", "png": "image/png", "npy": "application/octet-stream", "wav": "audio/wav",
    "txt": "text/plain", "webp": "image/webp",
}  # fmt: skip
"""Format -> its media type, by which `Accept` chooses."""
ASKED = ("seed", "count", "label", "truncation", "format")
"""Names that an address may have behind its question mark."""

Seed = Annotated[int, Field(ge=-(2**63), le=2**63 - 1, json_schema_extra={"format": "int64"})]


Number = Annotated[int, Field(ge=0, le=2**63 - 1, json_schema_extra={"format": "int64"})]
Label = Annotated[
    Annotated[Number, Tag("number")] | Annotated[str, Tag("name")],
    Discriminator(lambda label: "name" if isinstance(label, str) else "number"),
]
"""A class. Names are turned into numbers by the model that draws: the next version may have them in another order."""


class Order(BaseModel):
    """Samples that a client asks for."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"seeds": [0, 1], "labels": [3], "truncation": 0.8, "format": "png"}]},
    )  # fmt: skip

    seeds: Annotated[list[Seed], Field(min_length=1, fail_fast=True)]
    """One for each sample, at most `limits.seeds` of `/model`; the same seed is the same sample."""
    labels: Annotated[list[Label], Field(fail_fast=True, json_schema_extra={"minItems": 1})] | None = None
    """Classes, by number or name: one for all, or one for each seed; null: the seed modulo the number of classes.
    Digits in quotes are the class that is called so, else the number."""
    truncation: float = Field(1.0, ge=0, le=1, allow_inf_nan=False)
    """1: the distribution that was trained; less: more typical. Of texts, the temperature of their words."""
    format: str = Field("json", json_schema_extra={"enum": [*FORMATS, *JOINED]})
    """One of `formats` of `/model`; where it is left out, what `Accept` prefers.

    json: a PNG for each seed, of a sound a WAV, of a film an animated WebP, of a text the string itself. png: one
    picture, the grid; of sounds it shows spectrograms, of films strips. npy: for `numpy.load`, the quickest, of images
    uint8 [N, H, W, C], of films uint8 [N, T, H, W, C], of sounds int16 [N, T], of texts str [N]. wav, of sounds: all of
    them, one after the other. webp, of films: all of them, side by side. txt, of texts: a line each, in UTF-8.
    """


def parse(body: bytes, most: int, formats: Sequence[str] = FORMATS, *, accept: str = "*/*") -> Order:
    """Check a request.

    Args:
        body: JSON of an `Order`.
        most: Samples that it may ask for.
        formats: Formats that it may ask for.
        accept: Its header `Accept`, which chooses the format where the body does not.

    Raises:
        Refused: 400 or 406, with what was expected and got.
    """
    try:
        order = Order.model_validate_json(body)
    except ValidationError as error:
        raise Refused(400, _problems(error)) from None
    return _checked(order, most, formats, accept)


def of_address(query: QueryParams, most: int, formats: Sequence[str] = FORMATS, *, accept: str = "*/*") -> Order:
    """Check a request that stands in an address, such as `?seed=7&label=boot&format=png`; arguments as of `parse`.

    `seed` and `label` may be given several times; `count` asks for the seeds from `seed` on.

    Raises:
        Refused: 400 or 406, with what was expected and got.
    """
    if unknown := [name for name in query if name not in ASKED]:
        raise Refused(400, f"{shortened(unknown[0])}: unknown; known: {', '.join(ASKED)}")
    seeds = [_number(seed) for seed in query.getlist("seed")] or [0]
    if "count" in query:
        count = _number(query["count"])
        if not isinstance(count, int) or not 1 <= count <= most or len(seeds) > 1 or not isinstance(seeds[0], int):
            got = shortened(f"count={query['count']} with {len(seeds)} seeds")
            raise Refused(400, f"count: expected 1 to {most}, and one seed, the first; got {got}")
        seeds = list(range(seeds[0], seeds[0] + count))
    labels = query.getlist("label")
    content: dict[str, Any] = {"seeds": seeds, **({"labels": labels} if labels else {})}
    content |= {"truncation": _number(query["truncation"])} if "truncation" in query else {}
    content |= {"format": query["format"]} if "format" in query else {}
    try:
        order = Order.model_validate(content)
    except ValidationError as error:
        raise Refused(400, _problems(error)) from None
    return _checked(order, most, formats, accept)


def _number(text: str) -> Any:
    """Return the number that a text is, or the text."""
    if re.fullmatch(r"[+-]?[0-9]{1,30}", text):
        return int(text)
    return float(text) if re.fullmatch(_DECIMAL, text, re.IGNORECASE) else text


_DECIMAL = r"[+-]?(?=[0-9.])[0-9]{0,30}(\.[0-9]{1,30})?(e[+-]?[0-9]{1,3})?"


def _checked(order: Order, most: int, formats: Sequence[str], accept: str) -> Order:
    """Return an order in a format that its client takes.

    Raises:
        Refused: It is too large, or in a format that there is not, or its labels are not as many as they should be.
    """
    if len(order.seeds) > most:
        raise Refused(400, f"seeds: expected 1 to {most} of them, got {len(order.seeds)}")
    if "format" not in order.model_fields_set:
        order = order.model_copy(update={"format": preferred(accept, formats)})
    if order.format not in formats:
        known = f"{', '.join(map(repr, formats[:-1]))} or {formats[-1]!r}"
        raise Refused(400, f"format: expected {known}, got {shortened(json.dumps(order.format))}")
    if order.labels is not None and len(order.labels) not in (1, len(order.seeds)):
        raise Refused(
            400, f"labels: expected null, one, or one for each of the {len(order.seeds)} seeds, got {len(order.labels)}"
        )
    return order


def preferred(accept: str, formats: Sequence[str]) -> str:
    """Return the format that a header `Accept` prefers (RFC 9110, 12.5.1): of equal weight, the one named first.

    Raises:
        Refused: 406, it takes none of them.
    """
    weights: dict[str, float] = {}
    for part in accept.split(","):
        media, *parameters = (each.strip().lower() for each in part.split(";"))
        weight = next((each.removeprefix("q=") for each in parameters if each.startswith("q=")), "1")
        weights.setdefault(media, float(weight) if re.fullmatch(r"[01](\.[0-9]{0,3})?", weight) else 0)

    def wanted(name: str) -> tuple[float, int]:
        media = MEDIA[name]
        ranges = (media, f"{media.partition('/')[0]}/*", "*/*")  # the closest range decides
        near = next((each for each in ranges if each in weights), None)
        return (weights[near], -[*weights].index(near)) if near else (0, 0)

    best = max(formats, key=wanted)
    if not wanted(best)[0]:
        raise Refused(406, f"Accept: expected one of {', '.join(MEDIA[name] for name in formats)}, "
                           f"got {shortened(accept)}")  # fmt: skip
    return best


def _problems(error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    told = "; ".join(dict.fromkeys(_explain(problem) for problem in problems[:3]))
    return told + (f"; and {len(problems) - 3} more" if len(problems) > 3 else "")


_PLAIN = {
    "valid integer": "whole number",
    "a valid array": "a list of whole numbers",
    "a valid number": "a number",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
}
"""Words of pydantic, and those that stand for them here."""


def _explain(problem: Any) -> str:
    where = ".".join(map(str, problem["loc"][:2])) or "body"  # a third would be a tag of `Label`
    got = shortened(json.dumps(problem["input"], default=str))
    match problem["type"]:
        case "json_invalid":
            return f'body: expected JSON such as {{"seeds": [0, 1]}}, got what is none ({problem["ctx"]["error"]})'
        case "extra_forbidden":
            return f"{where}: unknown; known: {', '.join(Order.model_fields)}"
        case "missing":
            return f"{where}: expected a list of whole numbers, got none"
        case "value_error":
            return shortened(f"{where}: {problem['ctx']['error']}, got {got}", 300)
        case "too_short":
            return f"{where}: expected at least one, got none"
        case "model_type":
            return f'body: expected an object such as {{"seeds": [0, 1]}}, got {got}'
    message = problem["msg"].removeprefix("Input should be ")
    for term, plain in _PLAIN.items():
        message = message.replace(term, plain)
    return f"{where}: expected {message}, got {got}"
