"""Probes of your own."""
