"""The doors of `reports`: pages for people, JSON and CSV for programs."""
