"""What the launcher raises."""


class EmbeddedError(Exception):
    """The embedded servers cannot be used; the message is a sentence for the person at the terminal."""


class InUseError(EmbeddedError):
    """Another launcher holds the data folder."""


class ProductionError(EmbeddedError):
    """Asked for in production settings."""
