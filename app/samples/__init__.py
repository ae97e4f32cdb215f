"""Sample models and pipelines, as a user would write them. `celeriac up`, `models samples` and `pipelines samples` publish them.

They are part of the distribution, not of `examples/`: an image without network access can publish them. Only `app.cli` imports this room;
workers load `app.samples.steps` by name.
"""
