"""A fault that ends an import before anything is sent."""


class ImportFault(Exception):
    """The file or the mapping cannot be used; the message says why and what to do."""
