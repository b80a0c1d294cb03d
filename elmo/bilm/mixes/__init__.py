"""Mixes: from an encoder's layers to one vector for each word."""
