"""The notebook: a digest of the journal within a budget of tokens, for a model as context and for a person in the morning.

It follows from the ledger alone, so a fresh process, or a fresh model, goes on from it without loss; the same ledger gives the
same text. What proposers wrote stands in backticks, what candidates printed behind bars: data, whatever it says.
"""

from orchestrator.notebook.digest import LEAST_TOKENS, Notebook, digest
from orchestrator.notebook.wording import tokens

__all__ = ["LEAST_TOKENS", "Notebook", "digest", "tokens"]
