"""The files that the recipes of CONTRIBUTING.md ask for, as someone who follows them would write them."""
