"""One clip: its frames, its face, its active image, its pictures."""
