"""What do rows of another system become here?

`reading` makes of a row what it means, or says why it means nothing; `merging` compares that with what is there;
`carrying` says whether a login may come in, or leave. Pure functions of the model.
Begin with `reading`.
"""
