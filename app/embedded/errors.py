"""What the launcher raises."""


class EmbeddedError(Exception):
    """The embedded servers cannot be used; the message is a sentence for the person at the terminal."""
