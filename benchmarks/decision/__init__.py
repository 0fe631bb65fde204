"""The open benchmark of decision rules: worlds with known truth, rivals tuned in hindsight, and the score."""
