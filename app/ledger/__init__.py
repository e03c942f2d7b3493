"""Double entry; the only writer of money. Every movement is a transaction whose legs sum to zero."""
