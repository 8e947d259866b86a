"""How do encodings lie to one another?"""
