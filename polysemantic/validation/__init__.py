"""Rules that options must obey."""
