"""The demonstration: a small shop with several weeks of traffic, made by the same doors that real traffic uses."""
