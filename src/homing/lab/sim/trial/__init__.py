"""Whole days of disaster in virtual time: the product's own parts, a faulty world around them, judged from outside."""
