"""Damaged segments: an error of this package, or right behaviour; no signal, no hang."""
