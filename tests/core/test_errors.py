"""Tests of the account of what pydantic refuses."""

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from ganops.core.errors import problems


class Part(BaseModel):
    """A section with a check of its own."""

    model_config = ConfigDict(extra="forbid")
    size: int

    @field_validator("size")
    @classmethod
    def _positive(cls, size):
        if size < 1:
            raise ValueError("must be above 0")
        return size


class Whole(BaseModel):
    """Sections in a list."""

    parts: list[Part]


def test_each_problem_has_its_path_words_and_what_was_given():
    with pytest.raises(ValidationError) as refused:
        Whole.model_validate({"parts": [{"size": 1}, {"size": 0}, {"size": "x", "sise": 2}]})
    assert problems(refused.value) == [
        ("parts.1.size", "must be above 0", 0),
        ("parts.2.size", "Input should be a valid integer, unable to parse string as an integer", "x"),
        ("parts.2.sise", "Extra inputs are not permitted", 2),
    ]
