"""Which profiles the shipped recipes have."""

from fer_core.config import load_recipe
from fer_core.errors import NoProfileError
from training.options import RECIPES


def has_profile(name: str, profile: str) -> bool:
    """Whether a shipped recipe has a profile; if not, the recipe's file says why."""
    try:
        load_recipe(RECIPES, name, profile)
    except NoProfileError:
        return False
    return True
