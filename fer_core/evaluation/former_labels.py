"""Labels and slugs of earlier versions, which old links still use."""

from collections.abc import Mapping

FORMER_LABELS: Mapping[str, str] = {
    "defensible errors": "annotator_supported_errors",
    "like one person": "human_agreement",
    "calibration error": "ece",
    "calibration error, equal mass": "adaptive_ece",
    "calibration error, scaled": "scaled_ece",
    "answered at 5% risk": "coverage_at_5_risk",
    "accuracy corrupted": "corrupted_accuracy",
    "accuracy kept": "accuracy_retained",
    "operations (G)": "gflops",
    "images/s, batches of 32": "throughput_32",
    "framing-accuracy": "framing_accuracy",
    "framing-drop": "framing_drop",
}
"""Slugs of leaderboard columns, by former label or slug."""

FORMER_RANKINGS: Mapping[str, str] = {"pull on the class": "gradient x activation"}
"""Ways to rank channels of a feature map, by former label."""
