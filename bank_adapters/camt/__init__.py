"""ISO 20022 camt.052, camt.053 and camt.054 read by local names, whatever the version."""
