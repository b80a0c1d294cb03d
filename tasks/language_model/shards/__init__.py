"""A text in preparation: shards of numbered sentences, and how they become a store."""
