"""How the sentences of a corpus become batches of a language model."""
