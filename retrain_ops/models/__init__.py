"""Models: training, files, scoring. A model file is data; nothing in it is code."""

from retrain_ops.models.estimators import GBDTClassifier, GBDTRegressor
from retrain_ops.models.libraries.trainers import train_estimator
from retrain_ops.models.linear import LinearRegression, LogisticRegression, PoissonRegressor
from retrain_ops.models.tabular import Feature, TabularModel, encode, load_model
from retrain_ops.models.training import (
    TrainedModel,
    Trainer,
    TrainingData,
    resolve_loader,
    resolve_trainer,
    train_gbdt,
    train_linear,
    train_logistic,
)
from retrain_ops.spec.train import DEFAULT_PARAMS

__all__ = [
    "DEFAULT_PARAMS",
    "Feature",
    "GBDTClassifier",
    "GBDTRegressor",
    "LinearRegression",
    "LogisticRegression",
    "PoissonRegressor",
    "TabularModel",
    "TrainedModel",
    "Trainer",
    "TrainingData",
    "encode",
    "load_model",
    "resolve_loader",
    "resolve_trainer",
    "train_estimator",
    "train_gbdt",
    "train_linear",
    "train_logistic",
]
