"""A registered model: a name in a store, and its versions as people call them."""

import re
from dataclasses import dataclass
from typing import Any

from ganops.core.errors import RegistryError
from ganops.registry import tracking
from ganops.registry.tracking import MlflowClient, mlflow


@dataclass(frozen=True)
class Model:
    """A model of the registry, which need not be there yet."""

    client: MlflowClient
    name: str

    def entry(self) -> Any:
        """Return MLflow's registered model, with its aliases and tags.

        Raises:
            RegistryError: There is none of that name.
        """
        try:
            return self.client.get_registered_model(self.name)
        except mlflow.MlflowException as error:
            if not self.is_absent(error):
                raise
            raise RegistryError(f"the registry has no model {self.name}") from error

    def version(self, number: str) -> Any:
        """Return MLflow's model version of that number, whose absence is MLflow's own error."""
        return self.client.get_model_version(self.name, number)

    def versions(self, tag: str = "") -> list[Any]:
        """Return all versions, or those with a tag, such as "tags.`colour` = 'blue'"."""
        query = f"name = '{self.name}'" + (f" and {tag}" if tag else "")
        return list(self.client.search_model_versions(query))

    def has(self, number: str) -> bool:
        """Return True where there is a version of that number."""
        try:
            self.version(number)
        except mlflow.MlflowException as error:
            if not self.is_absent(error):
                raise
            return False
        return True

    @tracking.refusals()
    def resolve(self, which: str) -> Any:
        """Return the version that a person means: `3`, `v3`, an alias such as `champion`, or an address `models:/...`.

        Raises:
            RegistryError: There is no such version.
        """
        if which.startswith("models:/"):
            parts = re.fullmatch(r"models:/([^/@]+)(?:/v?(\d+)|@(.+))", which)
            if not parts:
                raise RegistryError(f"expected models:/NAME/VERSION or models:/NAME@ALIAS, got {which}")
            return Model(self.client, parts.group(1)).resolve(parts.group(2) or parts.group(3))
        number = which.removeprefix("v")
        try:
            if number.isdigit():
                return self.version(number)
            return self.client.get_model_version_by_alias(self.name, which)
        except mlflow.MlflowException as error:
            if not self.is_absent(error):
                raise
            what = f"version {number}" if number.isdigit() else f"alias {which}"
            raise RegistryError(f"the registry has no {what} of {self.name} ({error.error_code})") from error

    def is_absent(self, error: mlflow.MlflowException) -> bool:
        """Return True where an error means that there is no such model, version or alias, or that it is hidden.

        MLflow 3.17 answers 403 to whoever asks for a model that is not there and is no administrator.
        """
        if error.get_http_status_code() == 403:
            return not self.client.search_registered_models(f"name = '{self.name}'", max_results=1)
        return error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
