"""Bytes in, statements out; instructions in, bytes out. Knows nothing of databases or configuration files."""
