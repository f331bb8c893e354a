"""The report of defences under an attacker who adapts."""
