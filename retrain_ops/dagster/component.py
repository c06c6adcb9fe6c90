"""A Dagster component: one defs.yaml per model."""

from __future__ import annotations

import dagster as dg

from retrain_ops.dagster.definitions import retraining_assets


class RetrainingComponent(dg.Component, dg.Model, dg.Resolvable):  # type: ignore[misc]
    """Nightly retraining of one model, by its TOML spec.

    `spec` is the path of the spec from the folder of the defs.yaml; the other attributes are the
    options of `retraining_assets`, whose `model` is called `registered_model` here.
    """

    spec: str
    name: str | None = None
    start_date: str = "2013-01-01"
    workspace: str | None = None
    tracking_uri: str | None = None
    registered_model: str | None = None
    n_threads: int = 0
    retries: int = 1
    retry_delay_seconds: float = 60.0
    url: str | None = None

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """What `dg list components` says of it."""
        return dg.ComponentTypeSpec(description="Nightly retraining of one model", tags=["ml"])

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The definitions of the model that the attributes name."""
        options = self.model_dump(exclude={"spec", "registered_model"})
        spec = context.path / self.spec
        return retraining_assets(spec, model=self.registered_model, **options)
