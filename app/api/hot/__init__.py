"""The two routes that a campaign lives or dies by, as plain ASGI ahead of the framework."""
