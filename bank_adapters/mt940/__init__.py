"""SWIFT MT940, MT942 and MT950: scanner, field grammars and assembly into statements."""
