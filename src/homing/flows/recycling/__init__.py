"""How is an instance started anew without losing a message?"""
