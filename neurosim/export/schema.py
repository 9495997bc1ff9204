"""Every dataset of a macro image, ``neurosim.macro/1``: writer, reader and documents go by this list."""

from neurosim.export.hdf5 import Field

SCHEMA = "neurosim.macro/1"
BIG = float(2**31 - 1)
G_MAX = 0.1  # of any cell [S]
MAX_CELLS = 1 << 26
MAX_LAYERS = 8

TILES = ("tiles", "tile_rows", "tile_cols")
PLAN = ("v_first", "n_first", "pulses", "energy", "time")
FIELDS = (
    Field(
        "tiles/target",
        "<f4",
        TILES,
        "S",
        0,
        G_MAX,
        "target conductance, I/V at the read voltage; 0 where unused",
    ),
    Field("tiles/tolerance", "<f4", TILES, "S", 0, 10 * G_MAX, "half-width of the band around the target"),
    Field(
        "tiles/forming",
        "|u1",
        TILES,
        "1",
        0,
        1,
        "1: the cell gets the forming pulse (all that are in use or spare)",
    ),
    Field(
        "tiles/pair",
        "<i4",
        TILES,
        "1",
        -1,
        BIG,
        "pair that the cell belongs to, row * cols + column; -1: none",
    ),
    Field("tiles/side", "|i1", TILES, "1", -1, 1, "1: G+, -1: G-, 0: not in use"),
    Field("tiles/row_role", "|u1", TILES[:2], "1", 0, 2, "word line: 0 spare, 1 in use, 2 given up as dead"),
    Field("tiles/col_role", "|u1", TILES[::2], "1", 0, 2, "bit line: the same"),
    Field(
        "crossbar/row_source",
        "<i4",
        ("rows",),
        "1",
        -1,
        BIG,
        "what drives a row: channel c as c, neuron n as n_channels + n, -1: several (see synapses)",
    ),
    Field("crossbar/col_neuron", "<i4", ("cols",), "1", -1, BIG, "neuron that a column feeds; -1: several"),
    Field(
        "crossbar/adc_full_scale",
        "<f4",
        ("cols",),
        "A",
        0,
        1e6,
        "differential current that saturates the column's converter; 0: ideal",
    ),
    Field("crossbar/adc_gain", "<f4", ("cols",), "1", -100, 100, "error of its gain"),
    Field("crossbar/adc_offset", "<f4", ("cols",), "1", -1e9, 1e9, "its offset, in steps"),
    Field("crossbar/adc_inl", "<f4", ("cols",), "1", -1e9, 1e9, "its integral nonlinearity, in steps"),
    Field("synapses/input_pre", "<i4", ("inputs",), "1", 0, BIG, "channel that drives the synapse"),
    Field("synapses/input_post", "<i4", ("inputs",), "1", 0, BIG, "neuron that it feeds"),
    Field("synapses/input_pair", "<i4", ("inputs",), "1", 0, BIG, "pair that is its weight"),
    Field(
        "synapses/recurrent_pre", "<i4", ("recurrent",), "1", 0, BIG, "neuron that drives the synapse", True
    ),
    Field("synapses/recurrent_post", "<i4", ("recurrent",), "1", 0, BIG, "neuron that it feeds", True),
    Field("synapses/recurrent_pair", "<i4", ("recurrent",), "1", 0, BIG, "pair that is its weight", True),
    Field(
        "synapses/recurrent_sign",
        "|i1",
        ("recurrent",),
        "1",
        -1,
        1,
        "sign forced on the weight's absolute value; 0: the pair's own",
        True,
    ),
    Field(
        "neurons/threshold",
        "<f4",
        ("n_neurons",),
        "1",
        1e-30,
        1e30,
        "threshold after homeostasis, in units of @lsb",
    ),
    Field(
        "neurons/threshold_code",
        "<i4",
        ("n_neurons",),
        "1",
        1,
        BIG,
        "the same in codes of @threshold_unit, rounded",
    ),
    Field(
        "neurons/feature",
        "<i4",
        ("n_neurons",),
        "1",
        0,
        BIG,
        "state of a segment that the neuron's spikes count into",
    ),
    Field(
        "projection/mean",
        "<f4",
        ("n_states",),
        "1",
        -1e30,
        1e30,
        "mean that is subtracted from (the root of) a state",
    ),
    Field("projection/scale", "<f4", ("n_states",), "1", 1e-30, 1e30, "what it is divided by after that"),
    Field("projection/code", "<i8", ("n_outputs",), "1", 0, BIG, "class of an output"),
    Field(
        "vectors/step_ptr",
        "<i8",
        ("vectors", "steps+1"),
        "1",
        0,
        BIG,
        "events of step s of vector i: channel[step_ptr[i, s] : step_ptr[i, s + 1]]",
    ),
    Field("vectors/channel", "<u2", ("events",), "1", 0, 65535, "channel of an event"),
    Field("vectors/label", "<i8", ("vectors",), "1", 0, BIG, "true class"),
    Field("vectors/spike_ptr", "<i8", ("vectors", "steps+1"), "1", 0, BIG, "as step_ptr, of spike_neuron"),
    Field(
        "vectors/spike_neuron", "<u2", ("spikes",), "1", 0, 65535, "neuron that spikes, rising within a step"
    ),
    Field("vectors/answer", "<i8", ("vectors",), "1", 0, BIG, "answer of the float32 projection"),
    Field("vectors/answer_integer", "<i8", ("vectors",), "1", 0, BIG, "answer of the integer projection"),
    Field("plan/v_first", "<f4", TILES, "V", 0, 1e3, "amplitude of the first pulse", True),
    Field(
        "plan/n_first",
        "<f4",
        TILES,
        "1",
        0,
        BIG,
        "how many such pulses bring the median cell to its target",
        True,
    ),
    Field("plan/pulses", "<f4", TILES, "1", 0, BIG, "expected number of pulses of write-verify", True),
    Field("plan/energy", "<f4", TILES, "J", 0, 1e6, "expected energy of its pulses and reads", True),
    Field("plan/time", "<f4", TILES, "s", 0, 1e9, "expected duration of its pulses and reads", True),
    Field(
        "design/levels",
        "<f8",
        ("levels",),
        "S",
        0,
        G_MAX,
        "levels that targets stand on, rising; missing: any conductance",
        True,
    ),
)


def layer_fields(number: int, last: bool) -> tuple[Field, ...]:
    """Datasets of one layer of the projection, whose inputs are states or the outputs of the layer before."""
    n_in = "n_states" if number == 0 else f"hidden{number}"
    n_out = "n_outputs" if last else f"hidden{number + 1}"
    place = f"projection/{number}"
    return (
        Field(f"{place}/weight", "<f4", (n_in, n_out), "1", -1e30, 1e30, "weights of the float32 projection"),
        Field(f"{place}/bias", "<f4", (n_out,), "1", -1e30, 1e30, "what is added to the product"),
        Field(
            f"{place}/weight_integer",
            "<i2",
            (n_in, n_out),
            "1",
            -32768,
            32767,
            "weights of the integer projection",
        ),
        Field(
            f"{place}/bias_integer",
            "<i8",
            (n_out,),
            "1",
            -(2.0**62),
            2.0**62,
            "what is added to that product",
        ),
    )


def fields_by_name(n_layers: int) -> dict[str, Field]:
    """All datasets of an image whose projection has so many layers."""
    layers = [field for i in range(n_layers) for field in layer_fields(i, i + 1 == n_layers)]
    return {field.name: field for field in (*FIELDS, *layers)}
