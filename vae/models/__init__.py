"""The model: encoder, latent layer, decoder and likelihood."""
