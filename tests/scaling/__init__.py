"""A simulation of pools that scale, in virtual time: `scripts/scaling-sim`."""
