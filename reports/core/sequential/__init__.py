"""Group-sequential testing: looking daily without finding more false winners than planned."""
