"""Models on disk: model directories, official files, published models."""
