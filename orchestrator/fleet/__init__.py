"""A fleet: one `regatta run` over several targets. Each is an ordinary campaign with an ordinary run directory in the fleet's;
the fleet gives the turns, one after another on one Ray, and remembers nothing but its config: their journals say the rest.
"""
