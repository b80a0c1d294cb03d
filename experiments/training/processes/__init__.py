"""Many processes that train one model: their group, their gradients, and what they agree on."""
