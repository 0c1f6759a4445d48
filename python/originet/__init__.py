"""Micro-expression recognition with active images and OrigiNet."""
