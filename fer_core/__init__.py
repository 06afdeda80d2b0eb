"""FERscope's library: data, models, training engine, evaluation and explanation."""

__version__ = "0.1.0"
