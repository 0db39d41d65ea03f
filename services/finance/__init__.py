"""Finance: payouts to partners, in whole minor units."""
