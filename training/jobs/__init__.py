"""The jobs behind the commands: from recipes and prepared sets to runs on disk."""
