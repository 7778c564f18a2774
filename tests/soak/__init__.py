"""The long tests: hundreds of kills, and a mixed run with its measurements. ``make soak`` runs them."""
