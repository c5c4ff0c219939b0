"""Whole days of disaster in virtual time: the product's own parts, a faulty world around them, judged from outside.

`world` is what is played in, `judging` what comes of it. It uses the product's own parts, wired by `compose`. Begin
with `trial`, then `scenario`.
"""
