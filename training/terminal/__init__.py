"""Output of the command line: progress bars, tables and reports."""
