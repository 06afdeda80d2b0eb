"""The sections of the pages; each module belongs to one page."""
