from hypothesis import settings

# The same examples each time, and no failure because a machine is busy.
settings.register_profile("data", deadline=None, derandomize=True)
settings.load_profile("data")
