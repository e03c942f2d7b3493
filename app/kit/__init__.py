"""The lowest floor: errors, ids, money, clock, crypto, people, logging. Imports nothing of ours."""
