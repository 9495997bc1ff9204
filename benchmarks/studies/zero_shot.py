"""What zero-shot retrieval across senses reaches on real speech, and what of it survives an honest protocol.

Real spoken digits (FSDD, in DIR/fsdd) through the simulated cochlea look for MNIST digits seen by the
simulated event camera, on chips without and with wires, young and a year old; a simulated motor cortex looks
for the letters that it writes. Each case is a shipped example with a few keys changed and leaves one row in
benchmarks/results/zero_shot.jsonl; a row that is there is not run again; delete the file to start over.

    make bench NAME=zero_shot DATA=DIR
"""

import json
import sys
from pathlib import Path

from neurosim.store import write_text
from neurosim.zero_shot import load_zero_shot, run_zero_shot

RESULTS = Path(__file__).parents[1] / "results" / "zero_shot.jsonl"
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")

PICTURES = [
    "target.data.train.n=2000",
    "target.data.validation.n=500",
    "target.data.test.n=1000",
]
OFFICIAL = [
    'query.data.train={dataset="fsdd", split="train"}',
    'query.data.test={dataset="fsdd", split="test"}',
    "query.data.validation=",  # held out of the training takes
    "query.data.validation_share=0.15",
    *PICTURES,
]
# Lin et al.: dense liquids of 200 neurons, one segment, their constants; homeostasis in place of their gain
AUTHORS = [
    *OFFICIAL,
    "query.events.n_steps=129",
    "query.reservoir.n_neurons=200",
    "query.reservoir.beta=0.97",
    "query.reservoir.v_threshold=5.3",
    "query.reservoir.states.n_segments=1",
    "target.events.crop=16",
    "target.events.polarity=off",
    "target.reservoir.topology=dense",
    "target.reservoir.n_patches=",
    "target.reservoir.n_neurons=200",
    "target.reservoir.beta=0.9",
    "target.reservoir.v_threshold=5.0",
    "target.reservoir.states.pool=",
    "target.reservoir.homeostasis.rate_target=10.0",
]


def without(speaker: str) -> list[str]:
    """A speaker for the test, the next one for validation, the other four for training."""
    other = SPEAKERS[(SPEAKERS.index(speaker) + 1) % len(SPEAKERS)]
    both = json.dumps([speaker, other])
    return [
        f'query.data.train={{dataset="fsdd", split="all", not_speakers={both}}}',
        f'query.data.validation={{dataset="fsdd", split="all", speakers=["{other}"]}}',
        f'query.data.test={{dataset="fsdd", split="all", speakers=["{speaker}"]}}',
        *PICTURES,
        "chips=1",
        "compare_ideal=false",
        "paper=false",
    ]


# all wires 1 ohm a segment; phase-change cells, because the cells of the other card have no law of drift
WIRES = [*OFFICIAL, "array.wires={r_wire_row=1.0, r_wire_col=1.0}", "compare_ideal=false", "paper=false"]
PCM = [*WIRES, "device.card=pcm_hermes2023"]
YEAR = [*PCM, "device.t_after_programming=3.15e7"]
AGED = {
    "wires": WIRES,
    "pcm young": PCM,
    "pcm frozen": [*YEAR, 'ageing={trained_at=0.0, thresholds="frozen"}'],
    "pcm adapted": [*YEAR, 'ageing={trained_at=0.0, thresholds="adapted"}'],
}
# more chips on the named choice alone: what age costs is less than three chips differ
AGED |= {f"ten {case}": [*AGED[case], "chips=10", "all_splits=false"] for case in list(AGED)[1:]}

CASES = {
    "official": OFFICIAL,
    **AGED,
    "authors": AUTHORS,
    **{f"without {speaker}": without(speaker) for speaker in SPEAKERS},
    "letters": ["chips=2"],
    # encoders trained through time, in software, beside random ones: few recordings and epochs, one choice
    "trained": [
        *AUTHORS,
        'query.data.train={dataset="fsdd", split="train", n=600}',
        "query.events.n_steps=50",
        "target.data.train.n=600",
        "target.data.validation.n=200",
        "target.data.test.n=300",
        "trained.epochs=8",
        "chips=1",
        "all_splits=false",
        "compare_ideal=false",
        "paper=false",
    ],
}


def main(data_dir: Path) -> None:
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    for case, overrides in CASES.items():
        if case not in {row["case"] for row in rows}:
            rows.append(measure(case, overrides, data_dir))
            rows.sort(key=lambda row: list(CASES).index(row["case"]))
            write_text(RESULTS, "".join(json.dumps(row) + "\n" for row in rows))
    for row in rows:
        print(f"{row['case']:18} seen {told(row['seen'])}, unseen {told(row['unseen'])}", end="")
        choices = row.get("unseen_all_splits")
        print(f", {choices['n']} choices {told(choices)}" if choices else "")
        if "trained_encoders" in row:
            srnn = row["trained_encoders"]
            print(f"{'  trained':18} seen {told(srnn['seen'])}, unseen {told(srnn['unseen'])}", end="")
            print(f", {srnn['ratio']:.0f} times the multiplications of training")
        if "ideal" in row:
            ideal = row["ideal"]
            print(f"{'  ideal':18} seen {told(ideal['seen'])}, unseen {told(ideal['unseen'])}", end="")
            print(f", {told(ideal['unseen_all_splits'])}")
        if "paper_protocol" in row:
            paper = row["paper_protocol"]
            print(f"{'  their protocol':18} seen {paper['seen_mean']:.3f}, unseen {paper['unseen_mean']:.3f}")
    print(json.dumps({f"{row['case'].replace(' ', '_')}_seen": row["seen"]["mean"] for row in rows}))


def measure(case: str, overrides: list[str], data_dir: Path) -> dict[str, object]:
    """One run."""
    example = "zero_shot_neural_visual" if case == "letters" else "zero_shot_audio_visual"
    result = run_zero_shot(load_zero_shot(example, overrides), data_dir=data_dir)
    told = result.to_json()
    scores = told["zero_shot"]
    apart = ("query", "target", "seen_classes", "unseen_classes")
    return {
        "case": case,
        **{key: value for key, value in scores.items() if key not in apart},
        "validation": [chip["validation_accuracy"] for chip in told["chips"]],
        **{key: told[key] for key in ("cells", "tiles", "rates", "seconds", "fingerprint", "versions")},
    }


def told(interval: dict[str, object]) -> str:
    low, high = interval["ci95"]  # type: ignore[misc]
    return f"{interval['mean']:.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
