"""The three services. They never import each other; what they agree on lives in `shared`."""
