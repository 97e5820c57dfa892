"""Pictures and sound from arithmetic: what `texture` and `tone` are made of, the same on every machine."""
