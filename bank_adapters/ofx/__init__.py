"""OFX and QFX, versions 1.x (SGML) and 2.x (XML), by one tolerant tokenizer and no XML parser."""
