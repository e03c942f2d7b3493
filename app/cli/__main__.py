"""`python -m app.cli`, which is what `invitree` runs."""

from app.cli import main

if __name__ == "__main__":
    main()
