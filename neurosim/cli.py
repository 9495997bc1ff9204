"""The command line. No logic: every command calls the function of the library that does the work.

The library is imported inside the commands, so that ``neurosim --help`` answers at once.
"""

import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from pkgutil import resolve_name
from tempfile import TemporaryFile
from typing import Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from neurosim.errors import NeurosimError

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130

# What `neurosim run` runs other than experiments: schema of the file -> what takes it, see `run_and_write`.
PROTOCOLS = {
    "neurosim.concept_shift/1": "neurosim.concept_shift:run_and_write",
    "neurosim.zero_shot/1": "neurosim.zero_shot.run:run_and_write",
}


class _Commands(TyperGroup):
    """Turns what a user can act on into a message and an exit code; a bug keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except NeurosimError as why:
            _stop(str(why), BAD_INPUT)
        except BrokenPipeError:  # `neurosim devices list | head`
            raise
        except OSError as why:
            _stop(f"the run failed: {why}", FAILED)
        except KeyboardInterrupt:
            _stop("interrupted; finished stages are cached: the same command goes on from there", INTERRUPTED)


def _stop(message: str, code: int) -> NoReturn:
    Console(stderr=True).print(Text(message, style="red"), soft_wrap=True)
    raise typer.Exit(code)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"neurosim {version('neurosim-codesign')}")
        raise typer.Exit


app = typer.Typer(
    cls=_Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False
)
devices = typer.Typer(
    no_args_is_help=True, help="Memory technologies and macros: every number with its source."
)
datasets = typer.Typer(
    no_args_is_help=True, help="Event data sets: what they hold, whether they are here, how to get them."
)
baselines = typer.Typer(
    no_args_is_help=True, help="Quantum hybrids and classical rivals of the liquid: facts, keys, circuits."
)
app.add_typer(devices, name="devices")
app.add_typer(datasets, name="datasets")
app.add_typer(baselines, name="baselines")

Engine = Literal["numba", "snntorch", "brian2"]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="Folder of the data sets. Default: $NEUROSIM_DATA, else the user's cache.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", file_okay=False, help="Folder of the report. Default: runs/NAME."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change one value; the right side is TOML. May be repeated."
    ),
]
Study = Annotated[str, typer.Argument(help="The study's TOML file, or the name of a shipped example.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Processes on this machine. Default: its cores.")]
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Where many machines meet: postgresql://..., journal:///FILE or grpc://HOST:PORT. "
        "Default: study.db in the folder.",
    ),
]


@app.callback()
def main(
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """From a measured memory technology and a task made of events to what a chip would score and cost.

    Start with: neurosim demo
    """


@app.command()
def run(
    experiment: Annotated[
        str, typer.Argument(help="The experiment's TOML file, or the name of a shipped example.")
    ],
    overrides: Overrides = None,
    data_dir: Data = None,
    out: Out = None,
    engine: Annotated[
        Engine, typer.Option(help="Simulator of the reservoir; all give the same spikes.")
    ] = "numba",
    seed: Annotated[int | None, typer.Option(min=0, help="Short for --set seed=N.")] = None,
) -> None:
    """Run an experiment and report it.

    neurosim run demo --set device.sigma_read=0.1 --set chips=5

    neurosim run paper_nmnist --data ~/data --seed 1

    neurosim run zero_shot_audio_visual

    neurosim run concept_shift --set chips=3

    Shipped examples: demo, fsdd, nmnist_local, nmnist_shared, ntidigits, paper_nmnist, spoken_digits;
    zero_shot_audio_visual and zero_shot_neural_visual (docs/zero_shot.md); concept_shift (labels that swap
    while a projection learns). Every key of an experiment is in docs/experiments.md.
    """
    seeds = [] if seed is None else [f"seed={seed}"]
    _run(experiment, [*(overrides or []), *seeds], data_dir=data_dir, out=out, engine=engine)


@app.command()
def demo(out: Out = None) -> None:
    """Run the experiment that ships with neurosim: digits seen by an event camera, three simulated chips."""
    _run("demo", [], data_dir=None, out=out, engine="numba")


@app.command()
def export(
    run: Annotated[
        str, typer.Argument(help="Folder of a finished run, an experiment's TOML, or the name of an example.")
    ],
    to: Annotated[
        str, typer.Option(help="Format: macro (HDF5), csv, nir, mem (memory images and Verilog) or spice.")
    ] = "macro",
    out: Annotated[
        Path | None, typer.Option("--out", help="File or folder to write. Default: beside the run.")
    ] = None,
    chip: Annotated[int, typer.Option(min=0, help="Number of the simulated chip.")] = 0,
    vectors: Annotated[int, typer.Option(min=1, help="Test recordings to pass on.")] = 16,
    quantise: Annotated[
        bool, typer.Option("--quantise", help="Conductances on levels, thresholds on whole converter steps.")
    ] = False,
    levels: Annotated[
        int | None,
        typer.Option(min=2, help="Levels, evenly spaced. Default: as many as the card keeps apart."),
    ] = None,
    weight_bits: Annotated[int, typer.Option(min=2, max=16, help="Of the integer projection.")] = 16,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A setting of the format (nir, mem). May be repeated."
        ),
    ] = None,
    data_dir: Data = None,
) -> None:
    """Write what a chip is programmed with: cells of every tile, thresholds, projection, test vectors.

    neurosim export runs/demo --to macro --out demo.h5

    neurosim export runs/demo --to csv --chip 2 --quantise

    neurosim export runs/demo --to mem --vectors 64 --set leak_bits=20

    What the files hold is in docs/formats.md, the way to a chip and back in docs/from-card-to-chip.md.
    """
    from neurosim.export import ExportWarning, default_out, read_settings, write
    from neurosim.export.design import make_design

    path, config = out or default_out(run, to), read_settings(to, settings or ())
    with _progress() as progress:
        design = make_design(
            run,
            chip,
            n_vectors=vectors,
            quantised=quantise or levels is not None,
            levels=levels,
            weight_bits=weight_bits,
            data_dir=data_dir,
            progress=progress,
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ExportWarning)
        files = write(design, to, path, config)
    for one in caught:
        Console(stderr=True).print(Text(f"Warning: {one.message}", style="bold yellow"), soft_wrap=True)
    for file in files:
        typer.echo(file)
    shares = ", ".join(f"{name} {share:.1%}" for name, share in design.accuracy.items())
    typer.echo(f"accuracy on the test part: {shares}")


@app.command()
def readback(
    image: Annotated[Path, typer.Argument(help="The macro image that the chip was made from.")],
    measured: Annotated[
        str,
        typer.Argument(help="What was measured: HDF5, FILE.h5:DATASET, a CSV, or a folder of one per tile."),
    ],
    data_dir: Data = None,
    out: Out = None,
    card: Annotated[str, typer.Option(help="Name of the device card that is fitted to the chip.")] = "chip",
) -> None:
    """Run an experiment with the cells of a chip that was made, repair what can be repaired, export it again.

    neurosim readback demo.h5 measured.h5 --out runs/chip
    """
    from neurosim.export.image import read_macro
    from neurosim.export.measured import read_measured
    from neurosim.export.page import show, write_readback
    from neurosim.export.readback import read_back

    design = read_macro(image)
    reads = read_measured(measured, design)
    folder = _writable(out or Path("runs") / f"{design.experiment.name}-chip")
    with _progress() as progress:
        result = read_back(design, reads, data_dir=data_dir, progress=progress)
    paths = write_readback(result, folder, name=card)
    show(result, folder, Console())
    for path in paths:
        typer.echo(path)


@app.command()
def sweep(
    study: Study,
    overrides: Overrides = None,
    data_dir: Data = None,
    out: Out = None,
    jobs: Jobs = None,
    storage: Storage = None,
) -> None:
    """Run an experiment at many points, on all cores or many machines; the same command goes on.

    neurosim sweep sweep_read_noise --jobs 4

    neurosim sweep mine.toml --set sweep.chips=10 --storage postgresql://me@host/studies

    Keys of the study and, with --set, of its base experiment are in docs/studies.md.
    """
    _study("sweep", study, overrides, data_dir=data_dir, out=out, jobs=jobs, storage=storage)


@app.command()
def search(
    study: Study,
    overrides: Overrides = None,
    data_dir: Data = None,
    out: Out = None,
    jobs: Jobs = None,
    storage: Storage = None,
) -> None:
    """Search for the designs that no other beats in accuracy, energy, latency and area.

    neurosim search search_macro --jobs 2

    neurosim search search_macro --set search.n_trials=200

    With more trials the same command goes on.
    """
    _study("search", study, overrides, data_dir=data_dir, out=out, jobs=jobs, storage=storage)


@app.command()
def sensitivity(
    study: Study,
    overrides: Overrides = None,
    data_dir: Data = None,
    out: Out = None,
    jobs: Jobs = None,
    storage: Storage = None,
) -> None:
    """Say what accuracy depends on: one number at a time, or shares of the variance (Sobol).

    neurosim sensitivity sensitivity_noise --jobs 2
    """
    _study("sensitivity", study, overrides, data_dir=data_dir, out=out, jobs=jobs, storage=storage)


@app.command()
def compare(
    study: Study,
    overrides: Overrides = None,
    data_dir: Data = None,
    out: Out = None,
    jobs: Jobs = None,
    storage: Storage = None,
) -> None:
    """Compare the liquid with quantum hybrids and classical networks, after the same search for each.

    neurosim compare compare_small

    neurosim compare mine.toml --set compare.seeds=[0,1,2,3,4] --jobs 4

    With more models, seeds or trials the same command goes on. Shipped: compare_small (no download),
    compare_nmnist (real recordings), compare_full (a workstation, some days). Keys are in docs/compare.md.
    """
    from neurosim.study.compare.page import show as show_table
    from neurosim.study.compare.run import FILES, run_compare
    from neurosim.study.config import load_study
    from neurosim.study.view import live_view

    config = load_study(study, overrides or ())
    folder = _writable(out or Path("runs") / config.name)
    console = Console(stderr=True)
    with live_view(console) as show:
        result = run_compare(
            config,
            folder,
            jobs=jobs,
            storage=storage,
            data_dir=data_dir,
            show=show,
            say=lambda line: console.print(Text(line)),
        )
    show_table(result, Console())
    for name in FILES:
        typer.echo(folder / name)


@app.command()
def worker(
    study: Study,
    storage: Annotated[str, typer.Option(help="URL of the storage that the study was started with.")],
    overrides: Overrides = None,
    data_dir: Data = None,
) -> None:
    """Help with a study that was started elsewhere; leaves when no point waits, or on Ctrl-C.

    neurosim worker mine.toml --storage postgresql://me@host/studies
    """
    from neurosim.study.config import load_study
    from neurosim.study.worker import join

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as batch systems end a job
    n = join(load_study(study, overrides or ()), storage, data_dir=data_dir)
    typer.echo(f"{n} points")


@app.command()
def dashboard(
    study: Annotated[str, typer.Argument(help="Folder, TOML file or storage URL of the study.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 8080,
) -> None:
    """Watch a study, while it runs or later, in optuna-dashboard.

    neurosim dashboard runs/read_noise
    """
    from neurosim.study.storage import serve_dashboard, study_url

    serve_dashboard(study_url(study), port)


@devices.command("list")
def devices_list() -> None:
    """List the cards of devices, macros, digital platforms and quantum processors."""
    from neurosim.report.tables import list_hardware

    list_hardware(Console())


@devices.command("show")
def devices_show(
    name: Annotated[str, typer.Argument(help="A card's name, or the path of its .toml.")],
) -> None:
    """Print every number of a card with unit, status and source.

    neurosim devices show taox_1t1r_40nm
    """
    from neurosim.report.tables import show_hardware

    show_hardware(name, Console())


@devices.command("plot")
def devices_plot(
    name: Annotated[str, typer.Argument(help="A device card's name, or the path of its .toml.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", dir_okay=False, help="Image to write (.svg, .png, .pdf). Default: NAME.svg."),
    ] = None,
) -> None:
    """Draw the distributions that a device card stands for, with the measurements that stand beside it.

    neurosim devices plot taox_1t1r_40nm --out taox.svg
    """
    from neurosim.cards import load_device, shipped_folder
    from neurosim.report.cards import plot_device

    card = load_device(name)
    path = out or Path(f"{card.name}.svg")
    folder = Path(name).parent if name.endswith(".toml") else shipped_folder("devices")
    plot_device(card, path, folder)
    typer.echo(path)


@devices.command("fit")
def devices_fit(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="FILE.csv, FILE.h5 or FILE.h5:DATASET, one of a kind."),
    ],
    name: Annotated[str, typer.Option(help="Name of the card.")],
    out: Annotated[
        Path | None, typer.Option("--out", dir_okay=False, help="Card to write (.toml). Default: NAME.toml.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="One line for lists.")] = None,
    unit: Annotated[
        str | None, typer.Option(help="Unit of conductances whose name carries none: S, mS, uS or nS.")
    ] = None,
    formed_above: Annotated[
        float, typer.Option(min=0.0, help="Conductance in S above which a cell counts as formed.")
    ] = 0.0,
    v_read: Annotated[
        float | None, typer.Option(min=0.0, help="Voltage of conductances. Default: slopes at 0 V.")
    ] = None,
) -> None:
    """Fit a device card to your measurements and say how well it fits.

    neurosim devices fit maps.csv reads.h5 forming.csv --name mine

    neurosim devices fit rram_measured.h5:esgnn_fig1_uS --name mine --out cards/mine.toml

    What is measured is told from the names of the columns, or of an HDF5 group's datasets, with their units:
    g_uS (conductances of an array; 0 or empty is not formed); cell, t_s, g_uS (reads); target_uS, g_uS and
    perhaps t_s (programming); v_forming_V and perhaps cells (how many); v_V, i_uA and perhaps cell (I-V).
    docs/formats.md says more. Keep the files beside the card, and `neurosim devices plot` shows them.
    """
    from neurosim.fit import fit_card, write_card
    from neurosim.report.tables import show_fit

    fitted = fit_card(files, name, title=title, unit=unit, formed_above=formed_above, v_read=v_read)
    path = out or Path(f"{name}.toml")
    write_card(fitted.card, path)
    show_fit(fitted, Console())
    typer.echo(path)


@datasets.command("list")
def datasets_list(data_dir: Data = None) -> None:
    """List the data sets and which of their parts are on this machine."""
    from neurosim.report.tables import list_datasets

    list_datasets(Console(), data_dir)


@datasets.command("show")
def datasets_show(
    name: Annotated[str, typer.Argument(help="A data set's name, or the path of its card.")],
    data_dir: Data = None,
) -> None:
    """Print what a data set holds, its licence and where its files are.

    neurosim datasets show nmnist --data ~/data
    """
    from neurosim.report.tables import show_dataset

    show_dataset(name, Console(), data_dir)


@datasets.command("fetch")
def datasets_fetch(
    name: Annotated[str, typer.Argument(help="A data set's name, or the path of its card.")],
    data_dir: Data = None,
) -> None:
    """Download the files of a data set; an interrupted download goes on where it stopped.

    neurosim datasets fetch nmnist
    """
    from neurosim.cards import load_dataset
    from neurosim.events import datasets as named
    from neurosim.events.fetch import fetch

    card = load_dataset(name)
    with _progress() as progress:
        paths = fetch(card, data_dir or named.data_dir(), progress=progress)
    for path in paths:
        typer.echo(path)
    if not paths:
        typer.echo(f"{card.name}: nothing to fetch, its card names no files")


@baselines.command("list")
def baselines_list() -> None:
    """List the baselines."""
    from neurosim.report.baselines import list_baselines

    list_baselines(Console())


@baselines.command("show")
def baselines_show(name: Annotated[str, typer.Argument(help="A baseline's name.")]) -> None:
    """Print what a baseline is, what its paper reports, its keys, and its circuit.

    neurosim baselines show hqnn_parallel
    """
    from neurosim.report.baselines import show_baseline

    show_baseline(name, Console())


def _run(
    source: str, overrides: list[str], *, data_dir: Path | None, out: Path | None, engine: Engine
) -> None:
    from neurosim import experiment, report
    from neurosim.cards import load_device
    from neurosim.report.cards import conductance_law

    schema = experiment.read_source(source, overrides)[0].get("schema")
    if isinstance(schema, str) and schema in PROTOCOLS:
        with _progress() as progress:
            show, paths = resolve_name(PROTOCOLS[schema])(
                source,
                overrides,
                folder=lambda name: _writable(out or Path("runs") / name),
                data_dir=data_dir,
                engine=engine,
                progress=progress,
            )
        show(Console())
        for path in paths:
            typer.echo(path)
        return
    chosen = experiment.load_experiment(source, overrides)
    folder = _writable(out or Path("runs") / chosen.name)
    with _progress() as progress:
        result = experiment.run(chosen, data_dir=data_dir, engine=engine, progress=progress)
    report.show(result, Console())
    law = conductance_law(load_device(chosen.device.card))
    for path in report.write(result, folder, law=law):
        typer.echo(path)


def _writable(folder: Path) -> Path:
    """The folder, made where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as why:
        raise NeurosimError(
            f"{folder}: the report cannot be written there ({why.strerror}); name another folder by --out"
        ) from None
    return folder


def _study(
    kind: Literal["sweep", "search", "sensitivity"],
    source: str,
    overrides: list[str] | None,
    *,
    data_dir: Path | None,
    out: Path | None,
    jobs: int | None,
    storage: str | None,
) -> None:
    from neurosim.study.config import load_study
    from neurosim.study.results import FILES
    from neurosim.study.run import headline, run_study
    from neurosim.study.view import live_view

    config = load_study(source, overrides or ())
    folder = _writable(out or Path("runs") / config.name)
    with live_view(Console(stderr=True)) as show:
        result = run_study(
            config, folder, kind=kind, jobs=jobs, storage=storage, data_dir=data_dir, show=show
        )
    typer.echo(headline(result))
    for name in FILES:
        typer.echo(folder / name)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int | None], None]]:
    """Progress bars, one for every name that the callback is called with."""
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def progress(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield progress
