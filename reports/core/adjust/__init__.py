"""Sharper comparisons from what is known before the exposure, and comparisons within strata and over time."""
