"""What is promised about speed: `python3 dev.py bench [NAME] [--quick] [--json]`."""
