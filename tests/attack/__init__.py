"""The attack on a server of one's own; see README.md."""
