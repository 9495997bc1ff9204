"""Every key of a zero-shot experiment, from its config models: ``python tests/zero_shot_keys.py``.

This writes docs/zero_shot.md; do it after a change of a config model.
"""

import json
from pathlib import Path
from typing import Any

from experiment_keys import _section, _tables
from scipy import stats

from neurosim.zero_shot import ZeroShot

PAGE = Path(__file__).parents[1] / "docs/zero_shot.md"
ROWS = Path(__file__).parents[1] / "benchmarks/results/zero_shot.jsonl"
CASES = {
    "official": "FSDD, official split (speakers shared)",
    "wires": "... with wires",
    "pcm young": "... the same wires, phase-change cells, young",
    "pcm frozen": "... these a year old, thresholds as they were",
    "pcm adapted": "... these a year old, thresholds adapted again",
    "ten pcm young": "phase-change cells with wires, ten chips, young",
    "ten pcm frozen": "... a year old, thresholds as they were",
    "ten pcm adapted": "... a year old, thresholds adapted again",
    "authors": "FSDD, official split, the authors' dense liquids of 200 neurons",
    "letters": "simulated handwriting, 22 letters seen, 4 not",
    "trained": "few recordings, random liquids beside trained encoders",
}
OWN = ("SenseConfig", "ContrastiveConfig", "ClassesConfig", "WindowsConfig", "PaperConfig", "TrainedConfig")
INTRO = """\
# Zero-shot retrieval across senses

<!-- Made by tests/zero_shot_keys.py, its tables from the config models; change those. -->

Two random liquids encode two senses, and two small projections are trained to bring recordings that mean
the same near to each other. Then one sense looks for classes that the projections never met in the other
(Lin et al., Nat. Comput. Sci. 5, 37, 2025, doi:10.1038/s43588-024-00751-z).

    neurosim run zero_shot_audio_visual
    neurosim run zero_shot_neural_visual --set chips=5

Both run on what ships with neurosim (the first with `pip install 'neurosim-codesign[speech]'`) and leave
`result.json` ([its keys](formats.md)) and `report.html`.

## What is measured

- **Recall at 1**: share of the queries whose nearest target is of their class; seen queries among seen
  targets, unseen among unseen. Recall at 5 and mean average precision, both ways, stand beside it. *Chance*
  is that of a target drawn at random: with two unseen classes it is 50 %.
- **All choices** (`all_splits`, `windows`): which classes are left out decides more than anything else.
  With two unseen classes a pair of projections brings both to some place in the common space; whether
  crosswise or straight is nearly the toss of a coin, so that one choice can score 90 % and another 10 %.
  The mean over the choices says whether anything was learned about classes that were not there. Its
  interval leaves out one class after the other (jackknife), because choices share classes.
- **Unseen among all**: unseen queries among the targets of all classes, where they compete with what was
  trained.
- **Ideal weights** (`compare_ideal`): the same cells read without noise, faults, ageing, wires and
  converters, with liquids and projections fitted anew.
- **Authors' protocol** (`paper`): their loss, constants and raw dot product, on the named choice alone, its
  best epoch chosen on the test recordings. It flatters, and is there to be compared with published numbers.
- **Trained encoders** (`trained`): spiking encoders trained through time with the same projections
  (SRNN-CLIP), on the named choice: what a random liquid gives away, and what it saves in training.

Everything else chooses without the test: the epoch on validation recordings of the seen classes, thresholds
without labels on training recordings of the named seen classes (one liquid serves all choices, so that for
the others some of these are unseen ones). Whether validation and test share speakers with training is up to
`query.data`.

## Real recordings

FSDD by its official split, then without one speaker for validation and another one for the test:

    neurosim run zero_shot_audio_visual --data DIR --set query.data.validation= \\
      --set 'query.data.train={dataset="fsdd", split="train"}' \\
      --set 'query.data.test={dataset="fsdd", split="test"}'

    neurosim run zero_shot_audio_visual --data DIR \\
      --set 'query.data.train={dataset="fsdd", split="all", not_speakers=["george", "jackson"]}' \\
      --set 'query.data.validation={dataset="fsdd", split="all", speakers=["jackson"]}' \\
      --set 'query.data.test={dataset="fsdd", split="all", speakers=["george"]}'

N-TIDIGITS and N-MNIST in their place are `dataset="ntidigits"` and `"nmnist"`. Handwriting in the motor
cortex (Willett et al. 2021) and EMNIST, on which the second example can run:

    neurosim run zero_shot_neural_visual --data DIR --set query.data.validation= \\
      --set target.data.validation= --set 'query.data.train={dataset="handwriting", split="train"}' \\
      --set 'query.data.test={dataset="handwriting", split="test"}' \\
      --set 'target.data.train={dataset="emnist-letters", split="train", n=2600}' \\
      --set 'target.data.test={dataset="emnist-letters", split="test", n=520}'

## What was found

`make bench NAME=zero_shot DATA=DIR` on the noisy card; recall at 1 with 95 % intervals. The liquids, the loss
and the constants were chosen by validation on seen classes. Where a speaker tests, another one validates,
both are left out of training, and there is one chip (otherwise three, or as said; letters two, trained
encoders one). Wires have 1 ohm a segment of word line and of bit line. Phase-change cells (`pcm_hermes2023`)
stand in because those of the noisy card have no law of drift. The first row and those with ideal
weights, wires and age below it are of the present code; of the others only the cost of training was counted
again, on the first chip, with the same recall there.
Seen chance is 1 in 7 (letters: 1 in 22); unseen chance is 0.5, for letters 0.25. The authors report 0.674
seen and 0.875 unseen for their chip on their data, 0.823 and 0.74 for trained encoders.

@RESULTS@

- Seen classes are retrieved better than by the authors' protocol with the same liquids, and hardly worse on
  noisy chips than with ideal weights. With a speaker who was never heard it depends on the speaker: four
  voices in training do not make a listener.
- Against the same chips without wires, wires change seen recall by @WIRES@ points. A year changes that of
  phase-change chips by @FROZEN@ points if thresholds stay as they were, and by @ADAPTED@ if they are
  adapted again, without labels (pairs of chips, 95 %). Projections were trained on the young chips and stay.
- Of zero-shot retrieval between ear and eye nothing survives: over all choices of two digits it is chance.
  The sound of a word says nothing about the shape of its digit, and one choice, or the best epoch on the
  test, can say anything.
- Between motor cortex and letters something survives, though seen letters are hard as well (two chips, so
  that intervals over chips are wide): a letter is written as it looks. The simulated pictures are those of
  the very trials, which makes it easier than with pictures of other people's letters.
- The trained encoders had 8 epochs of 459 recordings, too few for them: that row shows what their training
  costs, not what they can reach.

## From Python

```python
import numpy as np

from neurosim.readout.contrastive import ContrastiveConfig, ContrastiveReadout

random = np.random.default_rng(0)
labels = np.arange(200) % 4
ear, eye = (random.poisson(random.uniform(1, 9, (4, 30))[labels]) for _ in range(2))  # spike counts
readout = ContrastiveReadout(ContrastiveConfig(width=16, epochs=20, batch_size=20))
readout.fit(ear, eye, labels, labels)
print(readout.evaluate(ear, eye, labels, labels)["a_to_b"].recall_1)
weights = readout.arrays()  # a.w1, a.b1, a.mean, ...
```

## Keys

Tables that are not here are those of an [experiment](experiments.md): `device`, `array`, `ageing`, and in
both senses `data`, `events` and `reservoir`.
"""


def results() -> str:
    """Table of the study's rows."""
    head = ("Case", "Seen", "Unseen, named", "Unseen, all choices", "Authors' protocol: seen, unseen")
    lines = [f"| {' | '.join(head)} |", "|---|---|---|---|---|"]
    for row in map(json.loads, ROWS.read_text(encoding="utf-8").splitlines()):
        name = CASES.get(row["case"], f"FSDD, speaker {row['case'].split()[-1]} tests")
        lines.append(_row(name, row, row.get("paper_protocol")))
        if "ideal" in row:
            lines.append(_row("... with ideal weights", row["ideal"], None))
        if "trained_encoders" in row:
            lines.append(_row("... trained encoders, in software", row["trained_encoders"], None))
    return "\n".join(lines)


def differences() -> dict[str, str]:
    """Seen recall of chips against the same chips in another case, points."""
    rows = {row["case"]: row for row in map(json.loads, ROWS.read_text(encoding="utf-8").splitlines())}

    def told(case: str, before: str) -> str:
        points = [
            100 * (a - b)
            for a, b in zip(*(rows[one]["seen"]["per_chip"] for one in (case, before)), strict=True)
        ]
        half = stats.t.ppf(0.975, len(points) - 1) * stats.sem(points)
        return f"{sum(points) / len(points):+.1f} ± {half:.1f}"

    return {
        "@WIRES@": told("wires", "official"),
        "@FROZEN@": told("ten pcm frozen", "ten pcm young"),
        "@ADAPTED@": told("ten pcm adapted", "ten pcm young"),
    }


def _row(name: str, scores: dict[str, Any], paper: dict[str, float] | None) -> str:
    cells = [
        "{mean:.3f} [{ci95[0]:.3f}, {ci95[1]:.3f}]".format(**scores[key]) if key in scores else ""
        for key in ("seen", "unseen", "unseen_all_splits")
    ]
    protocol = f"{paper['seen_mean']:.3f}, {paper['unseen_mean']:.3f}" if paper else ""
    return f"| {' | '.join([name, *cells, protocol])} |"


def markdown() -> str:
    """The whole page."""
    schema = ZeroShot.model_json_schema()
    places: dict[str, list[str]] = {}
    for place, name in _tables(schema, schema["$defs"]):
        if name in OWN:
            places.setdefault(name, []).append(f"`[{place}]`")
    sections = [_section("Top of the file", schema)]
    sections += [_section(", ".join(where), schema["$defs"][name]) for name, where in places.items()]
    intro = INTRO.replace("@RESULTS@", results())
    for token, difference in differences().items():
        intro = intro.replace(token, difference)
    return "\n".join([intro, *(section.replace("## ", "### ", 1) for section in sections)])


if __name__ == "__main__":
    PAGE.write_text(markdown(), encoding="utf-8")
