"""A small shop to try Inkling with: visitors see variants, convert, and the events arrive beside the simulated ones."""
