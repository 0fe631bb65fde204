"""The planner: from a site's own past and a question to sizes, durations and a recommendation."""
