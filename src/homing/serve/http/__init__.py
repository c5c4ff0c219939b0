"""What holds for every request and answer, whatever it is about: how it may be spelt, how large, from where, and how a
refusal looks (`problems`).

It uses the model and the framework, and nothing of the gateway. Begin with `problems` and `readable`.
"""
