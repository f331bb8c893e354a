"""What walks through a diffusion model give away: table, figure and page."""
