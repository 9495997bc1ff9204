// Shows the test vectors to liquid_core, writes what it answers and counts what differs from the golden model:
//     iverilog -g2005 -o liquid liquid_tb.v liquid_core.v && vvp liquid
`include "parameters.vh"

module liquid_tb;
    reg clk = 0, rst = 1, clear = 0, in_valid = 0, step = 0, finish = 0;
    reg [15:0] in_channel = 0;
    wire in_ready, step_done, done;
    wire [`N_NEURONS-1:0] spikes;
    wire [15:0] answer;

    reg [`EVENT_PTR_BITS-1:0] event_ptr [0:`N_RECORDINGS*`N_STEPS];
    reg [15:0] event_channel [0:`N_EVENTS-1];
    reg [`N_NEURONS-1:0] expected [0:`N_RECORDINGS*`N_STEPS-1];
`ifdef N_CLASSES
    reg [15:0] answers [0:`N_RECORDINGS-1];
    reg signed [63:0] scores [0:`N_RECORDINGS*`N_CLASSES-1];
`endif
    integer i, t, e, j, out, spikes_differ = 0, scores_differ = 0, answers_differ = 0;

    liquid_core dut (
        .clk(clk), .rst(rst), .clear(clear), .in_valid(in_valid), .in_channel(in_channel), .in_ready(in_ready),
        .step(step), .step_done(step_done), .spikes(spikes), .finish(finish), .done(done), .answer(answer)
    );

    always #5 clk = ~clk;

    initial begin
        $readmemh("event_ptr.hex", event_ptr);
        $readmemh("event_channel.hex", event_channel);
        $readmemh("spikes.hex", expected);
`ifdef N_CLASSES
        $readmemh("answer.hex", answers);
        $readmemh("score.hex", scores);
`endif
        out = $fopen("observed.txt", "w");     // a line a step: its spikes; after a recording: its answer
        repeat (2) @(negedge clk);
        rst = 0;
        for (i = 0; i < `N_RECORDINGS; i = i + 1) begin
            clear = 1;
            @(negedge clk) clear = 0;
            for (t = i * `N_STEPS; t < (i + 1) * `N_STEPS; t = t + 1) begin
                for (e = event_ptr[t]; e < event_ptr[t + 1]; e = e + 1) begin
                    in_channel = event_channel[e];
                    in_valid = 1;
                    @(negedge clk) in_valid = 0;
                    while (!in_ready) @(negedge clk);
                end
                step = 1;
                @(negedge clk) step = 0;
                while (!step_done) @(negedge clk);
                $fdisplay(out, "%h", spikes);
                if (spikes !== expected[t])
                    for (j = 0; j < `N_NEURONS; j = j + 1)
                        if (spikes[j] !== expected[t][j]) spikes_differ = spikes_differ + 1;
            end
            finish = 1;
            @(negedge clk) finish = 0;
            while (!done) @(negedge clk);
`ifdef N_CLASSES
            $fdisplay(out, "answer %0d", answer);
            if (answer !== answers[i]) answers_differ = answers_differ + 1;
            for (j = 0; j < `N_CLASSES; j = j + 1)
                if (dut.score[j] !== scores[i * `N_CLASSES + j]) scores_differ = scores_differ + 1;
`endif
        end
        $display("recordings %0d spikes_differ %0d scores_differ %0d answers_differ %0d",
                 `N_RECORDINGS, spikes_differ, scores_differ, answers_differ);
        $finish;
    end
endmodule
