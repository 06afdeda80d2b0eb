"""The command line that turns data into runs: `python -m training`."""
