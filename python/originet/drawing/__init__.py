"""Pages of HTML that need no other file, and matplotlib figures; neither knows any results."""
