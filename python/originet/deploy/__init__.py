"""Trained models as files, and what they say about clips that they have never seen."""
