"""Where documents come from: files, packages, the hub, a generator, a made-up text."""
