"""The jobs behind the commands: training, evaluation, measurement, import and export of runs."""
