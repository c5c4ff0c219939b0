"""Who is told what happened: customers' endpoints, operators' receivers, what they are told, and how telling them went.

They use the nouns beside them and nothing else.
Begin with `endpoints`.
"""
