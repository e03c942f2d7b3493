"""What merchants pay the platform: the plans on offer, what was bought of them, and which one is in force."""
