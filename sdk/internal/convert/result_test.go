package convert

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/halo-ha/halo/sdk/check"
	pb "github.com/halo-ha/halo/sdk/internal/proto/halo/plugin/v1"
	"github.com/halo-ha/halo/sdk/internal/session"
)

// overTheWire marshals and reads back, so that what only looks alike in memory
// is caught.
func overTheWire[M proto.Message](t testing.TB, from, to M) M {
	t.Helper()
	data, err := proto.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(data, to); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestResultsRoundTrip(t *testing.T) {
	batches := [][]session.ProbeResult{
		{
			{ID: 1, Result: check.Result{Outcome: check.Pass, Took: 1234567 * time.Microsecond}, Age: 90 * time.Millisecond},
			{ID: math.MaxUint64, Result: check.Result{
				Outcome: check.Fail, Reason: check.ReasonStatus, Detail: "503 zu früh", Took: 61 * time.Second, Weight: new(0),
				Metrics: map[string]float64{"bytes": 512, "ttfb_seconds": 0.25},
			}},
			{ID: 3, Result: check.Result{Outcome: check.Unknown, Reason: check.ReasonLate}},
		},
		// Smaller and plainer in the same memory: nothing of the one before may show.
		{{ID: 4, Result: check.Result{Outcome: check.Pass}}, {ID: 5, Result: check.Result{Outcome: check.Fail, Weight: new(math.MaxInt32)}}},
		{},
		{
			{ID: 6},
			{ID: 7, Result: check.Result{Outcome: check.Pass, Metrics: map[string]float64{"a": -1}}},
			{ID: 8},
			{ID: 9},
		},
	}
	var encoder ResultsEncoder
	for i, batch := range batches {
		message := overTheWire(t, encoder.Encode(7, uint64(i), batch), &pb.SessionResponse{}) //nolint:gosec // Small.
		if message.GetIncarnation() != 7 {
			t.Errorf("batch %d: incarnation %d", i, message.GetIncarnation())
		}
		got, ok := FromResponse(message).(*session.Results)
		if !ok {
			t.Fatalf("batch %d is not Results: %v", i, message)
		}
		want := &session.Results{Generation: uint64(i), Results: batch} //nolint:gosec // Small.
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("batch %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestEveryOutcomeAndReasonRoundTrips(t *testing.T) {
	for o := check.Unknown; o.Known(); o++ {
		if got := FromOutcome(pb.Outcome(o)); got != o {
			t.Errorf("outcome %v came back as %v", o, got)
		}
		if _, named := pb.Outcome_name[int32(o)]; !named {
			t.Errorf("outcome %v has no name on the wire", o)
		}
	}
	for r := check.ReasonNone; r.Known(); r++ {
		if got := fromReason(pb.Reason(r)); got != r {
			t.Errorf("reason %v came back as %v", r, got)
		}
		name, named := pb.Reason_name[int32(r)]
		if want := "REASON_" + strings.ToUpper(r.String()); named && r != check.ReasonNone && name != want {
			t.Errorf("reason %v is called %s on the wire", r, name)
		}
		if !named {
			t.Errorf("reason %v has no name on the wire", r)
		}
	}
	if len(pb.Reason_name) != int(check.ReasonPluginLost)+1 {
		t.Errorf("%d reasons on the wire, %d in check", len(pb.Reason_name), check.ReasonPluginLost+1)
	}
}

func TestHostileResultsAreCapped(t *testing.T) {
	many := func(n int) []*pb.Metric {
		var metrics []*pb.Metric
		for i := range n {
			metrics = append(metrics, &pb.Metric{Name: fmt.Sprintf("m%03d", i), Value: 1})
		}
		return metrics
	}
	line := func(outcome pb.Outcome, remark *pb.Remark) *pb.Results {
		r := &pb.Results{Id: []uint64{0}, Outcome: []pb.Outcome{outcome}}
		if remark != nil {
			r.Remarks = []*pb.Remark{remark}
		}
		return r
	}
	huge, negative := int64(math.MaxInt32)+1, int64(-1)
	for _, tc := range []struct {
		name string
		from *pb.Results
		want session.ProbeResult
	}{
		{"nothing said", line(0, nil), session.ProbeResult{}},
		{"outcome of a later version", &pb.Results{Id: []uint64{1}, Outcome: []pb.Outcome{77}}, session.ProbeResult{ID: 1}},
		{"negative outcome", line(-1, nil), session.ProbeResult{}},
		{"no column but the ids", &pb.Results{Id: []uint64{5}}, session.ProbeResult{ID: 5}},
		{
			"columns longer than that of the ids",
			&pb.Results{Id: []uint64{5}, Outcome: []pb.Outcome{1, 2}, Took: []uint64{7, 1}, Age: []uint64{9, 1}, Remarks: []*pb.Remark{{Line: 1}, {Line: math.MaxUint32}, nil}},
			session.ProbeResult{ID: 5, Result: check.Result{Outcome: check.Pass, Took: 7 * time.Microsecond}, Age: 9 * time.Microsecond},
		},
		{"reason of a later version", line(1, &pb.Remark{Reason: 900}), session.ProbeResult{Result: check.Result{Outcome: check.Pass}}},
		{"negative reason", line(1, &pb.Remark{Reason: -3}), session.ProbeResult{Result: check.Result{Outcome: check.Pass}}},
		{"the core's own reason", line(2, &pb.Remark{Reason: 14}), session.ProbeResult{Result: check.Result{Outcome: check.Fail}}},
		{"a local failure is not known", line(2, &pb.Remark{Reason: 12}), session.ProbeResult{Result: check.Result{Reason: check.ReasonLocalError}}},
		{"a late pass is not known", line(1, &pb.Remark{Reason: 13}), session.ProbeResult{Result: check.Result{Reason: check.ReasonLate}}},
		{"weight above the range", line(1, &pb.Remark{Weight: &huge}), session.ProbeResult{Result: check.Result{Outcome: check.Pass}}},
		{"weight below the range", line(1, &pb.Remark{Weight: &negative}), session.ProbeResult{Result: check.Result{Outcome: check.Pass}}},
		{"weight of the unknown", line(0, &pb.Remark{Weight: new(int64)}), session.ProbeResult{}},
		{
			"endless times",
			&pb.Results{Id: []uint64{0}, Took: []uint64{math.MaxUint64}, Age: []uint64{1 << 40}},
			session.ProbeResult{Result: check.Result{Took: maxDuration}, Age: maxDuration},
		},
		{"metrics that cannot be exported", line(0, &pb.Remark{Metrics: []*pb.Metric{
			{Name: "ok", Value: 1},
			{Name: "Upper", Value: 1},
			{Name: "", Value: 1},
			{Name: "a-b", Value: 1},
			{Name: "0a", Value: 1},
			{Name: "nan", Value: math.NaN()},
			{Name: "inf", Value: math.Inf(1)},
			{Name: strings.Repeat("x", 65), Value: 1},
			nil,
		}}), session.ProbeResult{Result: check.Result{Metrics: map[string]float64{"ok": 1}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := FromResults(tc.from).Results
			if diff := cmp.Diff([]session.ProbeResult{tc.want}, got); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
		})
	}
	for _, n := range []int{17, 64, 65, 5000} {
		got := FromResults(line(1, &pb.Remark{Metrics: many(n)})).Results[0].Metrics
		if len(got) != session.MaxMetrics {
			t.Errorf("%d metrics became %d", n, len(got))
		}
	}
}

func TestText(t *testing.T) {
	for _, tc := range []struct {
		name, from, want string
	}{
		{"empty", "", ""},
		{"plain", "connection refused", "connection refused"},
		{"not ASCII", "zu früh ✓", "zu früh ✓"},
		{"exactly the limit", strings.Repeat("x", 256), strings.Repeat("x", 256)},
		{"too long", strings.Repeat("x", 10_000), strings.Repeat("x", 256)},
		{"cut between characters", "a" + strings.Repeat("é", 200), "a" + strings.Repeat("é", 127)},
		{"invalid UTF-8", "a\xff\xfeb", "a\uFFFDb"},
		{"terminal escapes", "\x1b[2J\x07\x9b", " [2J \uFFFD"},
		{"lines", "one\ntwo\r\n", "one two  "},
		{"direction override", "a\u202eb", "a b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Text(tc.from, 256); got != tc.want {
				t.Errorf("Text = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestLongBatchesAreCut(t *testing.T) {
	const n = session.MaxChunk + 1
	from := &pb.Results{
		Id: make([]uint64, n), Outcome: make([]pb.Outcome, n), Took: make([]uint64, n), Age: make([]uint64, n),
		Remarks: slices.Repeat([]*pb.Remark{{Line: n - 1}}, n),
	}
	if got := len(FromResults(from).Results); got != session.MaxChunk {
		t.Errorf("%d results of one message", got)
	}
}

// FuzzResponse feeds bytes of hostile plugins.
func FuzzResponse(f *testing.F) {
	var encoder ResultsEncoder
	seed := func(m proto.Message) {
		data, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	seed(encoder.Encode(1, 2, []session.ProbeResult{{ID: 3, Result: check.Result{
		Outcome: check.Fail, Detail: "x", Weight: new(3), Metrics: map[string]float64{"a": 1},
	}}}))
	seed(ToHeartbeat(1, &session.Heartbeat{LoopLag: time.Second, Probes: 3}))
	seed(ToCommitted(1, &session.Committed{Generation: 9}))
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		var message pb.SessionResponse
		if proto.Unmarshal(data, &message) != nil {
			return
		}
		switch m := FromResponse(&message).(type) {
		case *session.Results:
			for _, r := range m.Results {
				holds(t, r)
			}
		case *session.Heartbeat:
			if m.LoopLag < 0 || m.Probes < 0 || m.InFlight < 0 || m.Overdue < 0 {
				t.Fatalf("heartbeat = %+v", m)
			}
		case *session.Committed, nil:
		}
	})
}

// holds asserts what the core may rely on of every result.
func holds(t *testing.T, r session.ProbeResult) {
	t.Helper()
	switch {
	case !r.Outcome.Known(), !r.Reason.Known(), r.Reason == check.ReasonPluginLost:
	case len(r.Detail) > session.MaxDetail, !utf8.ValidString(r.Detail), strings.ContainsAny(r.Detail, "\x1b\n\x00"):
	case r.Took < 0, r.Took > maxDuration, r.Age < 0, r.Age > maxDuration:
	case r.Weight != nil && (*r.Weight < 0 || *r.Weight > math.MaxInt32 || r.Outcome == check.Unknown):
	case len(r.Metrics) > session.MaxMetrics:
	case r.Outcome != check.Unknown && (r.Reason == check.ReasonLate || r.Reason == check.ReasonLocalError):
	default:
		for name, value := range r.Metrics {
			if !isMetricName(name) || math.IsNaN(value) || math.IsInf(value, 0) {
				t.Fatalf("metric %q = %v", name, value)
			}
		}
		return
	}
	t.Fatalf("result = %+v", r)
}

func BenchmarkEncodeThousand(b *testing.B) {
	results := make([]session.ProbeResult, 1000)
	for i := range results {
		results[i] = session.ProbeResult{ID: uint64(i), Result: check.Result{Outcome: check.Pass, Took: 123456}, Age: 45 * time.Millisecond} //nolint:gosec // Small.
	}
	var encoder ResultsEncoder
	var data []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if data, err = (proto.MarshalOptions{}).MarshalAppend(data[:0], encoder.Encode(1, 1, results)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(data))/1000, "B/result")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/result")
}

func BenchmarkDecodeThousand(b *testing.B) {
	results := make([]session.ProbeResult, 1000)
	for i := range results {
		results[i] = session.ProbeResult{ID: uint64(i), Result: check.Result{Outcome: check.Pass, Took: 123456}, Age: 45 * time.Millisecond} //nolint:gosec // Small.
	}
	var encoder ResultsEncoder
	data, err := proto.Marshal(encoder.Encode(1, 1, results))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var message pb.SessionResponse
		if err := proto.Unmarshal(data, &message); err != nil {
			b.Fatal(err)
		}
		if FromResponse(&message) == nil {
			b.Fatal("no message")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/result")
}
