"""BAI2 cash management balance reporting: groups and accounts, control totals on three levels."""
