"""Orders by hand: their form, what they would cost, and changing one at rest."""
