"""Homing: one stable address in front of a fleet of WhatsApp session gateways.

Nouns (`model`), judgments (`decide`), stories (`flows`) and wires (`drivers`, `store`, `serve`); what each may use is
drawn in docs/architecture.md.
Begin with `flows/sending/send`, the story of one message.
"""

__version__ = "0.1.0"
