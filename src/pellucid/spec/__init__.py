"""The spec: one pydantic model, a YAML 1.2 loader that reports every problem at once. No torch at import."""
