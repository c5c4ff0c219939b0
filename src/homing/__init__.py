"""Homing: one stable address in front of a fleet of WhatsApp session gateways."""

__version__ = "0.1.0"
