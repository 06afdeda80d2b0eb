"""The warning about imported models that do not predict better than without looking."""

from fer_core.evaluation.report import SplitMetrics


def chance_warning(validation: SplitMetrics, options: str) -> str | None:
    """Returns a warning if a model is not above the most frequent class.

    Args:
        validation: The model's metrics on validation.
        options: The usual causes, with the options that settle them.

    Returns:
        None if the 95% interval of its accuracy is above the accuracy of always predicting the
        most frequent class.
    """
    frequent = max(validation.classes, key=lambda row: row.samples)
    baseline = frequent.samples / validation.samples
    if validation.accuracy.low > baseline:
        return None
    return (
        f"Warning: validation accuracy {validation.accuracy.value:.1%} is not above that of always "
        f"predicting {frequent.label}, {baseline:.1%}. The usual causes are {options}. Remove the "
        "run's folder, and import it again."
    )
