"""Nouns of one message on its way: calls to instances, what can go wrong in one, attempts, outcomes and their records.

They use the nouns beside them and nothing else. Begin with `sending`.
"""
