"""regen-vcs: git keeps the recipe, the media follow."""

__version__ = "0.1.0"
