"""Widgets and elements that several pages share."""
