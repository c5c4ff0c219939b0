"""Nouns of what one instance is, holds and tells: its family, health and lease, the credentials, its reports.

They use the nouns beside them and nothing else. Begin with `health`.
"""
