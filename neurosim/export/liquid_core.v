// A spiking liquid and its projection in whole numbers, as neurosim's golden model computes them, bit for bit.
// Verilog-2005. Sizes are macros in parameters.vh, memories are $readmemh images beside it.
//
// A recording: clear; for every step the active channels, one in_channel at a time while in_ready, then step,
// and wait for step_done; then finish, and wait for done. Control inputs are pulses of one clock, given while
// in_ready.

`include "parameters.vh"

module liquid_core #(
    parameter LANES = 16                       // neurons served in one clock
) (
    input wire clk,
    input wire rst,
    input wire clear,                          // a recording begins
    input wire in_valid,                       // in_channel is active in this step
    input wire [15:0] in_channel,
    output wire in_ready,
    input wire step,                           // all channels of this step are given
    output reg step_done,
    output reg [`N_NEURONS-1:0] spikes,        // of the last step, neuron 0 in the lowest bit
    input wire finish,                         // all steps are done
    output reg done,
    output reg [15:0] answer                   // class with the largest score, the first of equals
);
    localparam signed [63:0] V_MAX = (64'sd1 << (`MEMBRANE_BITS - 1)) - 64'sd1;
    localparam IDLE = 0, INPUT = 1, SCAN = 2, RECURRENT = 3, NEURONS = 4, LAYER = 5;

    // images
    reg [`IN_PTR_BITS-1:0] in_ptr [0:`N_INPUTS];
    reg [`IN_POST_BITS-1:0] in_post [0:`IN_RUNS-1];
    reg [`IN_START_BITS-1:0] in_start [0:`IN_RUNS-1];
    reg [`IN_LENGTH_BITS-1:0] in_length [0:`IN_RUNS-1];
    reg signed [`IN_WEIGHT_BITS-1:0] in_weight [0:`IN_WEIGHTS-1];
    reg signed [`MEMBRANE_BITS-1:0] threshold [0:`N_NEURONS-1];
    reg [`FEATURE_BITS-1:0] feature [0:`N_NEURONS-1];
    reg [`SEGMENT_BITS-1:0] segment [0:`N_STEPS-1];
    reg [`STEP_WEIGHT_BITS-1:0] step_weight [0:`N_STEPS-1];
`ifdef REC_RUNS
    reg [`REC_PTR_BITS-1:0] rec_ptr [0:`N_NEURONS];
    reg [`REC_POST_BITS-1:0] rec_post [0:`REC_RUNS-1];
    reg [`REC_START_BITS-1:0] rec_start [0:`REC_RUNS-1];
    reg [`REC_LENGTH_BITS-1:0] rec_length [0:`REC_RUNS-1];
    reg signed [`REC_WEIGHT_BITS-1:0] rec_weight [0:`REC_WEIGHTS-1];
`endif
`ifdef ENTERS
    reg [`ENTERS_BITS-1:0] enters [0:`ENTERS-1];
`endif
`ifdef N_CLASSES
    reg signed [`WEIGHT0_BITS-1:0] weight0 [0:`N_STATES*`N_OUT0-1];
    reg signed [`BIAS0_BITS-1:0] bias0 [0:`N_OUT0-1];
`ifdef SHIFT0
    reg signed [`WEIGHT1_BITS-1:0] weight1 [0:`N_OUT0*`N_CLASSES-1];
    reg signed [`BIAS1_BITS-1:0] bias1 [0:`N_CLASSES-1];
    reg signed [63:0] hidden [0:`N_OUT0-1];
`endif
    reg signed [63:0] score [0:`N_CLASSES-1];
`endif

    // state
    reg signed [`SUM_BITS-1:0] acc [0:`N_NEURONS-1];
    reg signed [`MEMBRANE_BITS-1:0] v [0:`N_NEURONS-1];
    reg signed [`MEMBRANE_BITS-1:0] synapse [0:`N_NEURONS-1];
    reg [7:0] frozen [0:`N_NEURONS-1];
    reg [31:0] count [0:`N_STATES-1];

    reg [2:0] state;
    reg [31:0] run, run_end, offset, neuron, t, out, in, left, lane, k, j;
    reg second;                                // layer that is computed
    reg signed [63:0] current, u, sum, x;
    reg at_end;

    assign in_ready = state == IDLE;

    function signed [63:0] clipped(input signed [63:0] value, input signed [63:0] largest);
        clipped = value > largest ? largest : value < -largest ? -largest : value;
    endfunction

    // value * multiplier / 2^bits to the nearest, halves upwards
    function signed [63:0] scaled(input signed [63:0] value, input signed [63:0] multiplier, input integer bits);
        scaled = (value * multiplier + (64'sd1 << (bits - 1))) >>> bits;
    endfunction

    initial begin
        $readmemh("in_ptr.hex", in_ptr);
        $readmemh("in_post.hex", in_post);
        $readmemh("in_start.hex", in_start);
        $readmemh("in_length.hex", in_length);
        $readmemh("in_weight.hex", in_weight);
        $readmemh("threshold.hex", threshold);
        $readmemh("feature.hex", feature);
        $readmemh("segment.hex", segment);
        $readmemh("step_weight.hex", step_weight);
`ifdef REC_RUNS
        $readmemh("rec_ptr.hex", rec_ptr);
        $readmemh("rec_post.hex", rec_post);
        $readmemh("rec_start.hex", rec_start);
        $readmemh("rec_length.hex", rec_length);
        $readmemh("rec_weight.hex", rec_weight);
`endif
`ifdef ENTERS
        $readmemh("enters.hex", enters);
`endif
`ifdef N_CLASSES
        $readmemh("weight0.hex", weight0);
        $readmemh("bias0.hex", bias0);
`ifdef SHIFT0
        $readmemh("weight1.hex", weight1);
        $readmemh("bias1.hex", bias1);
`endif
`endif
    end

    always @(posedge clk) begin
        step_done <= 0;
        done <= 0;
        if (rst) state <= IDLE;
        else case (state)
            IDLE:
                if (clear) begin
                    spikes <= 0;
                    t <= 0;
                    for (k = 0; k < `N_NEURONS; k = k + 1) begin
                        acc[k] = 0;
                        v[k] = 0;
                        synapse[k] = 0;
                        frozen[k] = 0;
                    end
                    for (k = 0; k < `N_STATES; k = k + 1) count[k] = 0;
                end else if (in_valid) begin
                    run <= in_ptr[in_channel];
                    run_end <= in_ptr[in_channel + 1];
                    offset <= 0;
                    state <= INPUT;
                end else if (step) begin
                    neuron <= 0;
`ifdef REC_RUNS
                    state <= SCAN;
`else
                    state <= NEURONS;
`endif
                end else if (finish) begin
                    second <= 0;
                    out <= 0;
                    in <= 0;
                    sum = 0;
`ifdef N_CLASSES
                    state <= LAYER;
`else
                    done <= 1;
`endif
                end

            INPUT:
                if (run == run_end) state <= IDLE;
                else begin
                    at_end = offset + LANES >= in_length[run];
                    left = in_length[run] - offset;
                    j = in_post[run] + offset;
                    k = in_start[run] + offset;
                    for (lane = 0; lane < LANES; lane = lane + 1)
                        if (lane < left) acc[j + lane] = acc[j + lane] + in_weight[k + lane];
                    offset <= at_end ? 0 : offset + LANES;
                    if (at_end) run <= run + 1;
                end

`ifdef REC_RUNS
            SCAN:                              // for a neuron that fired in the step before
                if (neuron == `N_NEURONS) begin
                    neuron <= 0;
                    state <= NEURONS;
                end else if (spikes[neuron]) begin
                    run <= rec_ptr[neuron];
                    run_end <= rec_ptr[neuron + 1];
                    offset <= 0;
                    state <= RECURRENT;
                end else neuron <= neuron + 1;

            RECURRENT:
                if (run == run_end) begin
                    neuron <= neuron + 1;
                    state <= SCAN;
                end else begin
                    at_end = offset + LANES >= rec_length[run];
                    left = rec_length[run] - offset;
                    j = rec_post[run] + offset;
                    k = rec_start[run] + offset;
                    for (lane = 0; lane < LANES; lane = lane + 1)
                        if (lane < left) acc[j + lane] = acc[j + lane] + rec_weight[k + lane];
                    offset <= at_end ? 0 : offset + LANES;
                    if (at_end) run <= run + 1;
                end
`endif

            NEURONS: begin
                for (lane = 0; lane < LANES; lane = lane + 1) begin
                    j = neuron + lane;
                    if (j < `N_NEURONS) begin
                        current = acc[j];
                        acc[j] = 0;
`ifdef ADC_MAX
                        current = clipped(scaled(current, `ADC_MULTIPLIER, `ADC_BITS), `ADC_MAX);
`endif
                        current = current <<< `FRACTION_BITS;
`ifdef SYNAPSE_LEAK
                        current = clipped(current + scaled(synapse[j], `SYNAPSE_LEAK, `LEAK_BITS), V_MAX);
                        synapse[j] = current;
`endif
                        u = clipped(scaled(v[j], `LEAK, `LEAK_BITS) + current, V_MAX);
                        if (frozen[j] != 0) begin
                            frozen[j] = frozen[j] - 1;
                            spikes[j] <= 0;
                        end else if (u > threshold[j]) begin
                            spikes[j] <= 1;
                            frozen[j] = `N_REFRACTORY;
                            v[j] = `SUBTRACT ? u - threshold[j] : 0;
                            k = segment[t] * `N_FEATURES + feature[j];
                            count[k] = count[k] + step_weight[t];
                        end else begin
                            spikes[j] <= 0;
                            v[j] = u;
                        end
                    end
                end
                neuron <= neuron + LANES;
                if (neuron + LANES >= `N_NEURONS) begin
                    t <= t + 1;
                    step_done <= 1;
                    state <= IDLE;
                end
            end

`ifdef N_CLASSES
            LAYER: begin                       // sum over LANES states (or hidden units) of one output
                if (!second) begin
                    for (lane = 0; lane < LANES; lane = lane + 1) begin
                        k = in + lane;
                        if (k < `N_STATES) begin
`ifdef ENTERS
                            x = enters[count[k]];
`else
                            x = count[k];
`endif
                            sum = sum + x * weight0[k * `N_OUT0 + out];
                        end
                    end
                    at_end = in + LANES >= `N_STATES;
                    x = sum + bias0[out];
                end
`ifdef SHIFT0
                else begin
                    for (lane = 0; lane < LANES; lane = lane + 1) begin
                        k = in + lane;
                        if (k < `N_OUT0) sum = sum + hidden[k] * weight1[k * `N_CLASSES + out];
                    end
                    at_end = in + LANES >= `N_OUT0;
                    x = sum + bias1[out];
                end
`endif
                in <= at_end ? 0 : in + LANES;
                if (at_end) begin
                    sum = 0;
                    out <= out + 1;
`ifdef SHIFT0
                    if (!second) begin
                        hidden[out] = x < 0 ? 64'sd0 : x >>> `SHIFT0;
                        if (out + 1 == `N_OUT0) begin
                            second <= 1;
                            out <= 0;
                        end
                    end else
`endif
                    begin
                        score[out] = x;
                        if (out == 0 || x > u) begin
                            answer <= out;
                            u = x;             // the largest so far
                        end
                        if (out + 1 == `N_CLASSES) begin
                            done <= 1;
                            state <= IDLE;
                        end
                    end
                end
            end
`endif
            default: state <= IDLE;
        endcase
    end
endmodule
