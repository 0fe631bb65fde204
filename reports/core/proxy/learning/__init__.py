"""What a site's finished experiments say of its micro conversions: how often ideas are bait, and how much of a step's gain arrives."""
