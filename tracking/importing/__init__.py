"""Files of the past as events: read, judged and delivered through the same intake as live traffic."""
