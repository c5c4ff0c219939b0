"""Is a session that calls itself connected deaf, and what is to be tried with it?"""
