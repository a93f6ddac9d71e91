"""What one kernel set answers on evaluation text: losses, scores, greedy text, as arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfgreen.generative.decoding import greedy, logit_steps, other_choices, prefill_steps
from tfgreen.generative.perplexity import token_losses
from tfgreen.generative.requests import COMPARED_WINDOWS, GREEDY_RUNS, PROMPT_TOKENS
from tfgreen.generative.session import Session

OnProgress = Callable[[str, int, int], None]


def answers_of(
    content: bytes,
    kernel_set: str,
    windows: np.ndarray,
    most_logits: int,
    on_progress: OnProgress,
) -> dict[str, np.ndarray]:
    """Run a file on windows (n, context + 1).

    Returns `losses` (n, context); `logits` (k, context, vocabulary) of the first windows;
    `greedy` (runs, context), texts written with the cache after `prompt` tokens; `others` (runs,
    context), 1 where the file without its cache would have chosen another token; `steps` (runs,
    context), by how much the cache changed scores there; `prefills` (k,), by how much each way to
    fill the cache changed the scores after it.
    """
    session = Session(content, kernel_set=kernel_set)
    losses, logits = [], []
    kept = min(COMPARED_WINDOWS, most_logits, len(windows))
    for number, window in enumerate(windows):
        scores = session.score(window[:-1])
        losses.append(token_losses(scores, window[1:]))
        if number < kept:
            logits.append(scores)
        on_progress(f"text on the {kernel_set} kernels", number + 1, len(windows))
    runs = [greedy(session, prompt) for prompt in prompts_of(windows)]
    shape = len(runs), session.context
    others, steps = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    for number, run in enumerate(runs):
        uncached = session.score(run.tokens)
        others[number, other_choices(run, uncached)] = 1
        steps[number, run.start :] = logit_steps(run, uncached)
    return {
        "losses": np.stack(losses),
        "logits": np.stack(logits),
        "greedy": np.stack([run.tokens for run in runs]),
        "prompt": np.asarray(runs[0].start),
        "others": others,
        "steps": steps,
        "prefills": prefill_steps(session, windows),
    }


def prompts_of(windows: np.ndarray) -> np.ndarray:
    """The beginnings of the first windows, (runs, tokens)."""
    length = min(PROMPT_TOKENS, windows.shape[1] // 2)
    return np.asarray(windows[:GREEDY_RUNS, :length])
