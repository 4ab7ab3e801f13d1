package convert

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/halo-ha/halo/sdk/check"
	pb "github.com/halo-ha/halo/sdk/internal/proto/halo/plugin/v1"
	"github.com/halo-ha/halo/sdk/internal/session"
)

// maxDuration bounds what a plugin may claim a probe took: longer is either
// nonsense or of no use to anybody.
const maxDuration = 24 * time.Hour

const maxMetricName = 64

// Clean makes a result safe to send and to print, whichever end calls it: the
// plugin's SDK before sending, the host after receiving.
//
// A local error and a late loop say nothing about the target, so they are
// Unknown whatever the checker wrote; and what is not known asks for no weight.
func Clean(r check.Result) check.Result {
	if !r.Outcome.Known() {
		r.Outcome = check.Unknown
	}
	if !r.Reason.Known() || r.Reason == check.ReasonPluginLost {
		r.Reason = check.ReasonNone
	}
	if r.Reason == check.ReasonLocalError || r.Reason == check.ReasonLate {
		r.Outcome = check.Unknown
	}
	r.Detail = Text(r.Detail, session.MaxDetail)
	r.Took = min(max(r.Took, 0), maxDuration)
	if r.Weight != nil && (r.Outcome == check.Unknown || *r.Weight < 0 || *r.Weight > math.MaxInt32) {
		r.Weight = nil
	}
	r.Metrics = cleanMetrics(r.Metrics)
	return r
}

// Text cuts text to at most most bytes of valid UTF-8 without control
// characters, which could otherwise rewrite the terminal they are shown on.
func Text(text string, most int) string {
	if len(text) <= most && isPlain(text) {
		return text
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text[:min(len(text), 2*most)], "\uFFFD"))
	if len(text) <= most {
		return text
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut]
}

func isPlain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// cleanMetrics keeps the metrics whose name and value can be exported, at most
// 16 of them: the first in order of name, so that the choice does not flicker.
func cleanMetrics(metrics map[string]float64) map[string]float64 {
	if len(metrics) == 0 {
		return nil
	}
	kept := make(map[string]float64, min(len(metrics), session.MaxMetrics))
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		value := metrics[name]
		if !isMetricName(name) || math.IsNaN(value) || math.IsInf(value, 0) {
			continue
		}
		if len(kept) == session.MaxMetrics {
			break
		}
		kept[name] = value
	}
	return kept
}

func isMetricName(name string) bool {
	if name == "" || len(name) > maxMetricName || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// ResultsEncoder makes one message after the other in the same memory. The zero
// value is ready; one goroutine uses it.
type ResultsEncoder struct {
	message pb.SessionResponse
	results pb.Results
	remarks []*pb.Remark
}

// Encode returns a message that is good until the next call. It takes at most
// session.MaxChunk results and expects them clean.
func (e *ResultsEncoder) Encode(incarnation, generation uint64, results []session.ProbeResult) *pb.SessionResponse {
	to := &e.results
	to.Generation = generation
	to.Id, to.Outcome, to.Took, to.Age = to.GetId()[:0], to.GetOutcome()[:0], to.GetTook()[:0], to.GetAge()[:0]
	remarks := 0
	for i := range results {
		r := &results[i]
		to.Id = append(to.Id, r.ID)
		to.Outcome = append(to.Outcome, pb.Outcome(r.Outcome))
		to.Took = append(to.Took, microseconds(r.Took))
		to.Age = append(to.Age, microseconds(r.Age))
		if r.Reason == check.ReasonNone && r.Detail == "" && r.Weight == nil && len(r.Metrics) == 0 {
			continue
		}
		if remarks == len(e.remarks) {
			e.remarks = append(e.remarks, &pb.Remark{})
		}
		fillRemark(e.remarks[remarks], i, &r.Result)
		remarks++
	}
	to.Remarks = e.remarks[:remarks]
	e.message.Incarnation = incarnation
	if e.message.Message == nil {
		e.message.Message = &pb.SessionResponse_Results{Results: to}
	}
	return &e.message
}

func fillRemark(to *pb.Remark, line int, from *check.Result) {
	to.Line = uint32(line) //nolint:gosec // Below session.MaxChunk.
	to.Reason = pb.Reason(from.Reason)
	to.Detail = from.Detail
	to.Weight = nil
	if from.Weight != nil {
		weight := int64(*from.Weight)
		to.Weight = &weight
	}
	to.Metrics = to.GetMetrics()[:0]
	if len(from.Metrics) == 0 {
		return // Even an empty iteration allocates.
	}
	for _, name := range slices.Sorted(maps.Keys(from.Metrics)) {
		to.Metrics = append(to.Metrics, &pb.Metric{Name: name, Value: from.Metrics[name]})
	}
}

func microseconds(d time.Duration) uint64 { return uint64(max(d, 0) / time.Microsecond) } //nolint:gosec // Not negative.

// FromResults reads a batch. More than session.MaxChunk results are cut: no
// SDK sends them.
func FromResults(from *pb.Results) *session.Results {
	n := min(len(from.GetId()), session.MaxChunk)
	to := &session.Results{Generation: from.GetGeneration(), Results: make([]session.ProbeResult, n)}
	for i, id := range from.GetId()[:n] {
		to.Results[i].ID = id
	}
	for i, outcome := range from.GetOutcome()[:min(len(from.GetOutcome()), n)] {
		to.Results[i].Outcome = FromOutcome(outcome)
	}
	for i, took := range from.GetTook()[:min(len(from.GetTook()), n)] {
		to.Results[i].Took = fromMicroseconds(took)
	}
	for i, age := range from.GetAge()[:min(len(from.GetAge()), n)] {
		to.Results[i].Age = fromMicroseconds(age)
	}
	// More remarks than lines repeat themselves.
	for _, remark := range from.GetRemarks()[:min(len(from.GetRemarks()), n)] {
		if line := int64(remark.GetLine()); line < int64(n) {
			to.Results[line].Result = remarked(to.Results[line].Result, remark)
		}
	}
	return to
}

// remarked is a result with what a remark says of it.
func remarked(r check.Result, from *pb.Remark) check.Result {
	r.Reason, r.Detail = fromReason(from.GetReason()), from.GetDetail()
	if r.Weight = nil; from.Weight != nil && from.GetWeight() >= 0 && from.GetWeight() <= math.MaxInt32 {
		weight := int(from.GetWeight())
		r.Weight = &weight
	}
	if r.Metrics = nil; len(from.GetMetrics()) > 0 {
		n := len(from.GetMetrics())
		// Beyond four times the limit nothing is read: sorting is for the host
		// to pay.
		r.Metrics = make(map[string]float64, min(n, session.MaxMetrics))
		for _, m := range from.GetMetrics()[:min(n, 4*session.MaxMetrics)] {
			r.Metrics[m.GetName()] = m.GetValue()
		}
	}
	return Clean(r)
}

func fromMicroseconds(n uint64) time.Duration {
	return time.Duration(min(n, uint64(maxDuration/time.Microsecond))) * time.Microsecond //nolint:gosec // Cut to fit.
}

// FromOutcome reads an outcome; one it does not know is not known.
func FromOutcome(o pb.Outcome) check.Outcome {
	switch o {
	case pb.Outcome_OUTCOME_PASS:
		return check.Pass
	case pb.Outcome_OUTCOME_FAIL:
		return check.Fail
	case pb.Outcome_OUTCOME_UNSPECIFIED:
	}
	return check.Unknown
}

func fromReason(r pb.Reason) check.Reason {
	if r < 0 || r > math.MaxUint8 || !check.Reason(r).Known() {
		return check.ReasonNone
	}
	return check.Reason(r)
}

// fromDuration reads a duration between zero and a day; anything else is cut
// to that.
func fromDuration(d *durationpb.Duration) time.Duration {
	if d == nil {
		return 0
	}
	// AsDuration saturates instead of overflowing.
	return min(max(d.AsDuration(), 0), maxDuration)
}
