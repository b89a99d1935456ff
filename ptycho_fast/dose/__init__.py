"""The dose: energies of patterns, and what follows from them."""
