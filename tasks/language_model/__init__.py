"""The language model task: pretraining a biLM."""
