"""From per-sample scores to error rates, intervals and verdicts, with NumPy alone and no model.

Scores are always higher = more likely a member. Every result is a frozen dataclass with `to_dict()` for JSON.
"""

from jaxaudit.stats.cdi.identification import PROCEDURES, Identification, identify, shapley_values
from jaxaudit.stats.cdi.null import FalsePositiveRate, false_positive_rate
from jaxaudit.stats.cdi.power import RequiredSamples, identification_power, required_samples
from jaxaudit.stats.cdi.shapley import Attribution, ShapleyValues
from jaxaudit.stats.combination import COMBINATIONS, combine_p_values
from jaxaudit.stats.dataset_inference import DatasetInference, dataset_inference
from jaxaudit.stats.fitted import fitted_scores
from jaxaudit.stats.frechet import (
    FrechetDistance,
    Moments,
    bootstrap_frechet,
    frechet_distance,
    gaussian_distance,
    moments,
)
from jaxaudit.stats.gate import Gate, blind_gate
from jaxaudit.stats.intervals import (
    Interval,
    auc_interval,
    balanced_accuracy_interval,
    clopper_pearson,
    tpr_at_fpr_interval,
)
from jaxaudit.stats.membership import (
    MeanStd,
    MembershipInference,
    OmittedFpr,
    ScoreMetrics,
    membership_inference,
)
from jaxaudit.stats.null_control import NullControl, identification_null_control, null_control
from jaxaudit.stats.power import PUBLISHED_GRID, PowerCurve, PowerPoint, RequiredSize, power_curve
from jaxaudit.stats.published import PublishedMetrics, published_metrics
from jaxaudit.stats.records import Record
from jaxaudit.stats.roc import RocCurve, auc, best_threshold, roc_curve, tpr_at_fpr
from jaxaudit.stats.verdict import Verdict, verdict
from jaxaudit.stats.welch import WelchTest, fewest_permutable, permutation_p_value, welch

__all__ = [
    "COMBINATIONS",
    "PROCEDURES",
    "PUBLISHED_GRID",
    "Attribution",
    "DatasetInference",
    "FalsePositiveRate",
    "FrechetDistance",
    "Gate",
    "Identification",
    "Interval",
    "MeanStd",
    "MembershipInference",
    "Moments",
    "NullControl",
    "OmittedFpr",
    "PowerCurve",
    "PowerPoint",
    "PublishedMetrics",
    "Record",
    "RequiredSamples",
    "RequiredSize",
    "RocCurve",
    "ScoreMetrics",
    "ShapleyValues",
    "Verdict",
    "WelchTest",
    "auc",
    "auc_interval",
    "balanced_accuracy_interval",
    "best_threshold",
    "blind_gate",
    "bootstrap_frechet",
    "clopper_pearson",
    "combine_p_values",
    "dataset_inference",
    "false_positive_rate",
    "fewest_permutable",
    "fitted_scores",
    "frechet_distance",
    "gaussian_distance",
    "identification_null_control",
    "identification_power",
    "identify",
    "membership_inference",
    "moments",
    "null_control",
    "permutation_p_value",
    "power_curve",
    "published_metrics",
    "required_samples",
    "roc_curve",
    "shapley_values",
    "tpr_at_fpr",
    "tpr_at_fpr_interval",
    "verdict",
    "welch",
]
