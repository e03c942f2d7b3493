"""What is promised about faults: `python3 dev.py prove [NAME] [--quick] [--json]`."""
