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

// ResultsEncoder makes one message after the other in the same memory: ten
// thousand results a second would otherwise be thirty thousand allocations.
// The zero value is ready; one goroutine uses it.
type ResultsEncoder struct {
	message pb.SessionResponse
	results pb.Results
	list    []*pb.Result
}

// Encode returns a message that is good until the next call. It takes at most
// session.MaxChunk results and expects them clean.
func (e *ResultsEncoder) Encode(incarnation, generation uint64, results []session.ProbeResult) *pb.SessionResponse {
	for len(e.list) < len(results) {
		// One allocation for a result and its two durations.
		block := &struct {
			result    pb.Result
			took, age durationpb.Duration
		}{}
		block.result.Took, block.result.Age = &block.took, &block.age
		e.list = append(e.list, &block.result)
	}
	for i := range results {
		fillResult(e.list[i], &results[i])
	}
	e.results.Generation = generation
	e.results.Results = e.list[:len(results)]
	e.message.Incarnation = incarnation
	if e.message.Message == nil {
		e.message.Message = &pb.SessionResponse_Results{Results: &e.results}
	}
	return &e.message
}

func fillResult(to *pb.Result, from *session.ProbeResult) {
	to.Id = from.ID
	to.Outcome = pb.Outcome(from.Outcome)
	to.Reason = pb.Reason(from.Reason)
	fillDuration(to.GetTook(), from.Took)
	fillDuration(to.GetAge(), from.Age)
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

func fillDuration(to *durationpb.Duration, from time.Duration) {
	to.Seconds = int64(from / time.Second)
	to.Nanos = int32(from % time.Second) //nolint:gosec // Below 10^9.
}

// FromResults reads a batch. More than session.MaxChunk results are cut: no
// SDK sends them.
func FromResults(from *pb.Results) *session.Results {
	list := from.GetResults()
	list = list[:min(len(list), session.MaxChunk)]
	to := &session.Results{
		Generation: from.GetGeneration(),
		Results:    make([]session.ProbeResult, 0, len(list)),
	}
	for _, r := range list {
		to.Results = append(to.Results, fromResult(r))
	}
	return to
}

func fromResult(from *pb.Result) session.ProbeResult {
	r := check.Result{
		Outcome: FromOutcome(from.GetOutcome()),
		Reason:  fromReason(from.GetReason()),
		Detail:  from.GetDetail(),
		Took:    fromDuration(from.GetTook()),
	}
	if from.Weight != nil && from.GetWeight() >= 0 && from.GetWeight() <= math.MaxInt32 {
		weight := int(from.GetWeight())
		r.Weight = &weight
	}
	if n := len(from.GetMetrics()); n > 0 {
		// Beyond four times the limit nothing is read: sorting is for the host
		// to pay.
		r.Metrics = make(map[string]float64, min(n, session.MaxMetrics))
		for _, m := range from.GetMetrics()[:min(n, 4*session.MaxMetrics)] {
			r.Metrics[m.GetName()] = m.GetValue()
		}
	}
	return session.ProbeResult{ID: from.GetId(), Result: Clean(r), Age: fromDuration(from.GetAge())}
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
