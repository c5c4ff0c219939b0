"""What is this file, may it be sent as that, and who may read it?"""
