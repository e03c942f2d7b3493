"""The built-in templates as documents, one a file, in the format that merchants' own have."""
