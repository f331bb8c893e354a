"""Images to tokens or latents, and back."""
