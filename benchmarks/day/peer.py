"""python -m benchmarks.day.peer SOURCE WORKSPACE URL THREADS: the same days as people write them.

pandas, Great Expectations, Evidently, LightGBM, scikit-learn, Fairlearn and MLflow's client, each
used as its own documentation shows. The same rows, the same work: PSI of every feature beside the
champion's training days, unique ids in order in one file, the expectations of the spec, a
threshold from out-of-fold scores, both models on the hold-out in all and by slice, a paired
interval by days, a run with its metrics and a version with its alias, a shadow on the newest days.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import great_expectations as gx
import lightgbm as lgb
import mlflow
import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset
from fairlearn.metrics import MetricFrame
from mlflow.tracking import MlflowClient
from sklearn.metrics import f1_score, precision_recall_curve, roc_auc_score

from benchmarks.day import rows
from benchmarks.day.phases import arguments, phase, said

MODEL = "day_peer"
MARGIN = 0.005


@dataclass
class Fitted:
    """A model with its threshold and the days that it learnt from."""

    booster: lgb.Booster
    threshold: float
    days: list[date]
    levels: dict[str, list[str]]

    def score(self, table: pd.DataFrame) -> Any:
        return self.booster.predict(matrix(table, self.levels))


def days_before(end: date, count: int) -> list[date]:
    return [end - timedelta(days=back) for back in range(count, 0, -1)]


def matrix(table: pd.DataFrame, levels: dict[str, list[str]]) -> pd.DataFrame:
    x = table[rows.FEATURES].copy()
    for name in rows.CATEGORICAL:
        x[name] = pd.Categorical(x[name], categories=levels[name])
    return x


def read(source: Path, days: list[date]) -> pd.DataFrame:
    tables = []
    for day in days:
        table = pd.read_parquet(source / f"day={day.isoformat()}" / "part-0.parquet")
        tables.append(table.assign(day=pd.Timestamp(day)))
    return pd.concat(tables, ignore_index=True)


def check_drift(source: Path, champion: Fitted, end: date) -> None:
    reference = read(source, champion.days)
    current = read(source, days_before(end, rows.CURRENT_DAYS))
    definition = DataDefinition(
        numerical_columns=rows.NUMERIC, categorical_columns=list(rows.CATEGORICAL)
    )
    report = Report([DataDriftPreset(num_method="psi", cat_method="psi")])
    sides = [
        Dataset.from_pandas(table[rows.FEATURES], data_definition=definition)
        for table in (current, reference)
    ]
    found = report.run(*sides).dict()
    values = [m["value"] for m in found["metrics"] if "ValueDrift" in str(m.get("metric_name"))]
    said(step="check_drift", psi_max=max(float(value) for value in values))


def pull_data(source: Path, workspace: Path, end: date) -> pd.DataFrame:
    table = read(source, days_before(end, rows.WINDOW_DAYS))
    table = table.sort_values(["day", "event_time", "request_id"], kind="stable")
    table = table.reset_index(drop=True)
    if table["request_id"].duplicated().any():
        raise SystemExit("a request id is doubled")
    newest = pd.Timestamp(end - timedelta(days=rows.LABEL_DELAY_DAYS))
    table["label"] = table["label"].where(table["day"] < newest)
    table.to_parquet(workspace / "processed.parquet", compression="zstd")
    return table


def validate_data(table: pd.DataFrame) -> None:
    context = gx.get_context(mode="ephemeral")
    batch = (
        context.data_sources.add_pandas("pandas")
        .add_dataframe_asset("window")
        .add_batch_definition_whole_dataframe("whole")
        .get_batch({"dataframe": table})
    )
    kinds = gx.expectations
    suite = gx.ExpectationSuite(name="day")
    suite.add_expectation(kinds.ExpectTableRowCountToBeBetween(min_value=100))
    for name in rows.FEATURES:
        suite.add_expectation(kinds.ExpectColumnToExist(column=name))
    for name in ("x0", "x1"):
        suite.add_expectation(
            kinds.ExpectColumnValuesToBeBetween(column=name, min_value=-20.0, max_value=20.0)
        )
    for name in ("x12", "x13"):
        suite.add_expectation(kinds.ExpectColumnValuesToNotBeNull(column=name, mostly=0.5))
    suite.add_expectation(kinds.ExpectColumnValuesToBeInSet(column="label", value_set=[0, 1]))
    suite.add_expectation(
        kinds.ExpectColumnMeanToBeBetween(column="label", min_value=0.05, max_value=0.95)
    )
    if not batch.validate(suite).success:
        raise SystemExit("the rows are not valid")


def train(table: pd.DataFrame, end: date, threads: int) -> Fitted:
    last = end - timedelta(days=rows.LABEL_DELAY_DAYS + rows.HOLDOUT_DAYS)
    days = days_before(last, rows.TRAIN_DAYS)
    known = table[(table["day"] < pd.Timestamp(last)) & table["label"].notna()]
    known = known[known["day"] >= pd.Timestamp(days[0])]
    levels = {name: sorted(known[name].dropna().unique()) for name in rows.CATEGORICAL}
    x, y = matrix(known, levels), known["label"].astype("int8").to_numpy()
    params = {
        "objective": "binary",
        "learning_rate": rows.PARAMS["learning_rate"],
        "num_leaves": rows.PARAMS["max_leaf_nodes"],
        "min_child_samples": rows.PARAMS["min_samples_leaf"],
        "lambda_l2": rows.PARAMS["l2_regularization"],
        "max_bin": rows.PARAMS["max_bins"],
        "num_threads": threads,
        "deterministic": True,
        "seed": 1,
        "verbose": -1,
    }
    fold = known["day"].dt.dayofyear.to_numpy() % 2

    def fit(part: Any) -> lgb.Booster:
        data = lgb.Dataset(x[part], y[part], params={"verbose": -1})
        return lgb.train(params, data, int(rows.PARAMS["n_estimators"]))

    scores = np.empty(len(y))
    for half in (0, 1):
        scores[fold == half] = fit(fold != half).predict(x[fold == half])
    precision, recall, cuts = precision_recall_curve(y, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return Fitted(fit(slice(None)), float(cuts[f1[:-1].argmax()]), days, levels)


def evaluate(table: pd.DataFrame, end: date, models: list[Fitted]) -> dict[str, float]:
    last = pd.Timestamp(end - timedelta(days=rows.LABEL_DELAY_DAYS))
    first = last - pd.Timedelta(days=rows.HOLDOUT_DAYS)
    held = table[(table["day"] >= first) & (table["day"] < last) & table["label"].notna()]
    y = held["label"].astype("int8").to_numpy()
    found: dict[str, float] = {"rows": len(held)}
    by_day = []
    for model, name in zip(models, ("challenger", "champion"), strict=False):
        scores = model.score(held)
        flags = scores >= model.threshold
        frame = MetricFrame(
            metrics=f1_score,
            y_true=y,
            y_pred=flags,
            sensitive_features=held[[rows.PROTECTED]],
        )
        found[f"f1_{name}"] = float(frame.overall)
        found[f"worst_{name}"] = float(frame.by_group.min())
        found[f"auc_{name}"] = float(roc_auc_score(y, scores))
        judged = pd.DataFrame({"day": held["day"].to_numpy(), "y": y, "flag": flags})
        by_day.append([f1_score(part["y"], part["flag"]) for _, part in judged.groupby("day")])
    if len(by_day) == 2:
        delta = np.array(by_day[0]) - np.array(by_day[1])
        found["delta"] = float(delta.mean())
        found["delta_se"] = float(delta.std(ddof=1) / np.sqrt(len(delta)))
    return found


def register(model: Fitted, found: dict[str, float], workspace: Path, alias: str) -> None:
    path = workspace / "model.pkl"
    path.write_bytes(pickle.dumps(model))
    client = MlflowClient()
    with mlflow.start_run() as run:
        mlflow.log_params(rows.PARAMS)
        mlflow.log_metrics(found)
        mlflow.log_artifact(str(path))
    source = f"{run.info.artifact_uri}/model.pkl"
    version = client.create_model_version(MODEL, source, run.info.run_id)
    client.set_registered_model_alias(MODEL, alias, version.version)


def shadow_test(source: Path, end: date, models: list[Fitted]) -> None:
    table = read(source, days_before(end, 1))
    flags = [model.score(table) >= model.threshold for model in models]
    said(step="shadow_test", flips=float((flags[0] != flags[-1]).mean()))


def run_day(source: Path, workspace: Path, end: date, champion: Fitted | None, threads: int) -> Any:
    if champion is not None:
        with phase(f"{end} check_drift"):
            check_drift(source, champion, end)
    with phase(f"{end} pull_data"):
        table = pull_data(source, workspace, end)
    with phase(f"{end} validate_data"):
        validate_data(table)
    with phase(f"{end} train"):
        challenger = train(table, end, threads)
    models = [challenger] if champion is None else [challenger, champion]
    with phase(f"{end} evaluate"):
        found = evaluate(table, end, models)
    said(step="evaluate", **found)
    with phase(f"{end} promote_challenger"):
        register(challenger, found, workspace, "champion" if champion is None else "challenger")
    with phase(f"{end} shadow_test"):
        shadow_test(source, end, models)
    return challenger


def main() -> None:
    source, workspace, url, threads = arguments()
    workspace.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(url)
    mlflow.set_experiment(MODEL)
    MlflowClient().create_registered_model(MODEL)
    champion = run_day(source, workspace, rows.BOOTSTRAP_DAY, None, threads)
    run_day(source, workspace, rows.JUDGED_DAY, champion, threads)


if __name__ == "__main__":
    main()
