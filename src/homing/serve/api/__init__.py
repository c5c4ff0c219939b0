"""The resources of the API, one file each.

Each file has the handlers, the bodies and the views of its resource. They use the gateway through `context`, and say
who may ask by its guards; `serve.app` lists them all. Begin with `directory/contacts`, the smallest whole one.
"""
