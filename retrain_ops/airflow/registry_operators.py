"""Operators that change who serves, outside the ten steps: by hand, or after a check of yours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from retrain_ops.airflow.base import LOCK_PATIENCE_S, ModelOperator

if TYPE_CHECKING:
    from retrain_ops.run import Run

__all__ = ["RollbackOperator", "SetAliasOperator"]


class RollbackOperator(ModelOperator):
    """Gives `@champion` back to the champion it replaced; a second call changes nothing.

    :param version: the version to take off; by default the one promoted last (templated)

    The other parameters are those of every operator.
    """

    step = "rollback"
    template_fields = (*ModelOperator.template_fields, "version")

    def __init__(self, *, version: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.version = version

    def act(self, run: Run, context: Mapping[str, Any]) -> dict[str, Any]:
        """One event of the registry's protocol, or none."""
        from retrain_ops.rollout.by_hand import roll_back

        return roll_back(run, self.version, patience_s=LOCK_PATIENCE_S)


class SetAliasOperator(ModelOperator):
    """Names a version by an alias of your own.

    `@champion`, `@previous` and `@challenger` follow the registry's events and are refused.

    :param alias: letters, digits, - and _ (templated)
    :param version: the version's number (templated)

    The other parameters are those of every operator.
    """

    step = "set_alias"
    template_fields = (*ModelOperator.template_fields, "alias", "version")

    def __init__(self, *, alias: str, version: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alias = alias
        self.version = version

    def act(self, run: Run, context: Mapping[str, Any]) -> dict[str, Any]:
        """One write, or none when the alias names that version already."""
        from retrain_ops.rollout.by_hand import set_alias

        return set_alias(run, self.alias, self.version, patience_s=LOCK_PATIENCE_S)
