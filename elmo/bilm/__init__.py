"""The bidirectional language model: its parts, kinds, mixes and softmaxes."""
