"""Train the classifier of techniques and attitudes on the examples in the package, and cross-validate it.

Run in the development environment: `python scripts/train_techniques.py`. It writes the weights and their hash beside
the knowledge file. Everything starts from zero and is trained on all examples at once, so no random number is drawn;
another version of torch may still give weights that differ in the last digits. `--check` trains and writes nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import zlib
from pathlib import Path

import numpy as np
import torch

from shared.coaching.encoder.classifier import FILE_NAME, HEADS, NONE, Head, pack_classifier
from shared.coaching.encoder.features import Features
from shared.coaching.encoder.use import load_encoder
from shared.coaching.knowledge import load_knowledge, read_package_data
from shared.coaching.patterns import load_patterns
from shared.coaching.words import sentences
from shared.events import Language

FOLDER = Path(__file__).parents[1] / "shared/coaching/knowledge"
LANGUAGES: tuple[Language, ...] = ("nl", "en")
FOLDS = 5
PENALTY = {"techniques": 1e-4, "attitudes": 2e-4, "errors": 2e-4}
STEPS = 100

Example = tuple[Language, str, int, str]
"""Language, class, number within its class, text."""


def examples(kind: str) -> list[Example]:
    """Return the examples of a kind: the written ones, and the knowledge file's own.

    What shows a technique is no error: those examples are the NONE of the error codes.
    """
    found: list[Example] = []
    for language in LANGUAGES:
        classes = json.loads(read_package_data(f"examples_{language}.json"))[kind]
        found += [(language, name, n, text) for name, texts in classes.items() for n, text in enumerate(texts)]
    knowledge = load_knowledge()
    if kind == "errors":
        right = [row for row in examples("techniques") if row[1] not in (NONE, "1.3", "1.4", "4.1", "4.3.5")]
        found += [(language, NONE, zlib.crc32(name.encode()) + n, text) for language, name, n, text in right]
    elif kind == "techniques":
        for item in knowledge.techniques.values():
            if item.observable and not (item.is_group and item.id != "2.1.1"):
                for language, texts in (("nl", item.examples_nl), ("en", item.examples_en)):
                    found += [(language, item.id, 100 + n, text) for n, text in enumerate(texts)]
    else:
        for entry in knowledge.attitudes.values():
            found += [("nl", entry.key, 100, entry.example_nl), ("en", entry.key, 100, entry.example_en)]
    return found


def as_heard(row: Example) -> Example:
    """Return an example as a recogniser that knows no marks writes it."""
    language, name, n, text = row
    return language, name, n, re.sub(r"[^\w\s'’-]", "", text).lower()


def features(kind: str, rows: list[Example]) -> np.ndarray:
    """Return the features of all examples, one row each."""
    patterns = {language: load_patterns(language) for language in LANGUAGES}
    maker = Features(load_knowledge(), patterns, load_encoder())
    make = maker.of_customer if kind == "attitudes" else maker.of_seller
    return np.stack(
        [make(sentences(text, patterns[language].drop), language) for language, _, _, text in rows], dtype=np.float32
    )


def fit(x: np.ndarray, y: np.ndarray, n_classes: int, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and bias of a multinomial logistic regression with an L2 penalty."""
    inputs, target = torch.from_numpy(x), torch.from_numpy(y)
    weights = torch.zeros(x.shape[1], n_classes, requires_grad=True)
    bias = torch.zeros(n_classes, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights, bias], max_iter=STEPS, line_search_fn="strong_wolfe")
    share = torch.bincount(target, minlength=n_classes).float()
    balance = (share.mean() / share).sqrt()

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = torch.nn.functional.cross_entropy(inputs @ weights + bias, target, weight=balance)
        value = value + penalty * (weights**2).sum()
        value.backward()
        return value

    optimiser.step(loss)
    return weights.detach().numpy(), bias.detach().numpy()


def cross_validate(kind: str, rows: list[Example], x: np.ndarray, y: np.ndarray, n_classes: int) -> None:
    """Print the share found by weights that saw neither the example nor its counterpart in the other language."""
    fold = np.array([zlib.crc32(f"{name}{n}".encode()) % FOLDS for _, name, n, _ in rows])
    right = np.zeros(len(rows), dtype=bool)
    for number in range(FOLDS):
        out = fold == number
        weights, bias = fit(x[~out], y[~out], n_classes, PENALTY[kind])
        right[out] = (x[out] @ weights + bias).argmax(axis=1) == y[out]
    for language in LANGUAGES:
        own = np.array([row[0] == language for row in rows])
        print(f"{kind} {language}: {right[own].mean():.3f} of {own.sum()} found in cross validation")


def main() -> int:
    """Train both heads."""
    options = argparse.ArgumentParser(description="Train the classifier of techniques and attitudes.")
    options.add_argument("--check", action="store_true", help="write nothing")
    options.add_argument("--no-validation", action="store_true", help="train only")
    chosen = options.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    heads = {}
    for kind in HEADS:
        written = examples(kind)
        rows = written + [as_heard(row) for row in written]
        classes = tuple(sorted({name for _, name, _, _ in rows}))
        assert NONE in classes
        x = features(kind, rows)
        y = np.array([classes.index(name) for _, name, _, _ in rows])
        if not chosen.no_validation:
            cross_validate(kind, rows, x, y, len(classes))
        weights, bias = fit(x, y, len(classes), PENALTY[kind])
        heads[kind] = Head(classes, weights, bias)
    data = pack_classifier(heads)
    sha256 = hashlib.sha256(data).hexdigest()
    print(f"{FILE_NAME}: {len(data)} bytes, SHA-256 {sha256}")
    if not chosen.check:
        (FOLDER / FILE_NAME).write_bytes(data)
        (FOLDER / f"{FILE_NAME}.sha256").write_text(f"{sha256}  {FILE_NAME}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
