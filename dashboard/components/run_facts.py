"""Facts about runs that several pages show: protocol, provenance and training curves."""

from collections.abc import Mapping, Sequence

from fer_core.evaluation.leaderboard import Entry

CURVES: Mapping[str, str] = {
    "accuracy": "Validation accuracy",
    "macro_recall": "Validation macro-recall",
    "log_loss": "Validation log loss",
    "train_loss": "Training loss",
    "learning_rate": "Learning rate",
}
"""Titles of the training curves by the columns of the history."""


def protocol(entries: Sequence[Entry]) -> str:
    """Returns the protocol that the ranked runs share, in one sentence."""
    augmented = any(entry.report.protocol.test_time_augmentation for entry in entries)
    text = (
        f"{'with' if augmented else 'without'} test-time augmentation. Checkpoints were chosen on "
        "validation."
    )
    if any(entry.info.trained_elsewhere for entry in entries):
        text += " How the checkpoints of imported models were chosen is unknown."
    return text


def facts(entry: Entry) -> dict[str, str]:
    """Returns where a run comes from and how it was trained, by the names that pages show."""
    info = entry.info
    facts = {
        "Run": info.run_id,
        "Initial weights": "; ".join([f"{info.init} {info.init_source}".strip(), *info.init_notes]),
        "Input preprocessing": info.preprocessing_hash,
        "Weights": info.weights_dtype or ("those of its members" if info.members else "elsewhere"),
        "Epochs": f"{info.epochs}, best: {info.best_epoch}" if info.epochs else "none",
        "Training time": f"{info.wall_seconds / 60:.0f} minutes" if info.wall_seconds else "none",
        "Hardware": ", ".join(f"{key} {value}" for key, value in info.hardware.items()) or "none",
        "Commit": info.git_commit or "unknown",
        "Versions": ", ".join(f"{key} {value}" for key, value in info.versions.items()),
        "Created": info.created,
    }
    if info.prior_shift:
        facts["Prior shift"] = (
            f"strength {info.prior_shift:g} (post-hoc logit adjustment): the log class frequencies "
            "times this number were added to the logits; chosen by validation accuracy"
        )
    if info.teachers:
        teachers = (f"{run} ({created})" for run, created in info.teachers.items())
        facts["Teachers"] = ", ".join(teachers)
    return facts
