"""Intermediates that several measurements share."""
