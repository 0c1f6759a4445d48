"""Brief movements of faces, found in videos of any length."""
