"""Our own session host: one process that keeps many WhatsApp sessions logged in and sends through them.

It speaks the webjs protocol and, beyond it, message ids of the caller's choice and epochs; it opens the vault itself.
Begin with `host`, which knows neither HTTP nor files; `engines` holds what speaks WhatsApp.
"""
