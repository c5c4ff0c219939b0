"""Our own session host: one process that keeps many WhatsApp sessions logged in and sends through them.

It speaks the protocol of the seed's Node service and, beyond it, message ids of the caller's choice and
epochs. ``host`` is the heart and knows neither HTTP nor files; ``engine`` is what it needs of an engine;
``credentials`` is what it needs of the store that guards who may open a session.
"""
