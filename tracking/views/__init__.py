"""Pages for people who set up tracking: what arrives now, what has been seen, and how to send a first event."""
