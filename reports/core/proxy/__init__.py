"""Deciding by a funnel: what the steps towards the macro conversion say about it, and how far that can be trusted."""
