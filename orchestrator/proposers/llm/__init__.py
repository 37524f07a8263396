"""The `llm` proposer: ideas and edits from any model that litellm reaches.

answers.py     a model's text into candidates, strictly
checks.py      what is wrong with a candidate, before it costs a trial
prompts.py     what the model sees
strategy.py    what kind of idea is asked for: pure
calls.py       one call, through litellm
faults.py      why no model answered, in words
money.py       what calls cost, and what those in flight may cost
record.py      every exchange on disk, and nights played again from it
desk.py        what the proposer may look at
proposer.py    the proposer itself
"""
