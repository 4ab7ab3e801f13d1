package vrrp

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// What is wrong with the trailers of others. Whoever forges packets can make this
// router complain, once in a while, and nothing else.

// Details of findings are above those of drops, which are below 1<<16.
const (
	detailUnsigned uint64 = 1<<16 + iota
	detailClockBehind
	detailClockAhead
)

// authentication names how the router authenticates.
func (c *Config) authentication() string {
	if c.HMAC.Configured() {
		return c.HMAC.String()
	}
	return c.Auth.Type.String()
}

// observeTrailer tells what will be wrong with an advertisement that still counts:
// in the next mode, or with clocks that go on drifting.
func (r *Router) observeTrailer(now time.Time, e *AdvertReceived, actions []Action) []Action {
	// Who sends no trailers himself knows that others do not yet, either.
	if e.Findings.Unsigned && r.config.HMAC.Sends() {
		actions = r.differsInTrailer(now, MismatchAuthentication, e.Source, detailUnsigned, actions, func() (ours, theirs string) {
			return r.config.authentication(), "no trailer, which counts as long as the mode is " + r.config.HMAC.Mode.String()
		})
	}
	if e.Findings.Clock {
		detail := detailClockBehind
		if e.Trailer.Stamp.Age(now) < 0 {
			detail = detailClockAhead
		}
		actions = r.differsInTrailer(now, MismatchClock, e.Source, detail, actions, func() (ours, theirs string) {
			return r.window(), clock(now, e.Trailer.Stamp) + ", which still counts"
		})
	}
	return actions
}

// trailerRejected tells what was wrong with an advertisement that did not count.
func (r *Router) trailerRejected(now time.Time, e *AdvertRejected, actions []Action) []Action {
	if e.Drop == wire.DropLength && (!e.Signed || r.config.HMAC.Configured()) {
		return actions // Damage, which counters tell.
	}
	kind, detail := MismatchAuthentication, uint64(e.Drop)<<8+uint64(e.Trailer.KeyID)
	if e.Drop == wire.DropHMACReplay {
		kind, detail = MismatchReplay, 0
	}
	if e.Drop == wire.DropHMACStale {
		kind, detail = MismatchClock, 0
		if e.Trailer.Stamp.Age(now) < 0 {
			detail = 1
		}
	}
	return r.differsInTrailer(now, kind, e.Source, detail, actions, func() (ours, theirs string) {
		return r.trailerInWords(now, e)
	})
}

// trailerInWords is the two values of a trailer that was rejected.
func (r *Router) trailerInWords(now time.Time, e *AdvertRejected) (ours, theirs string) {
	ours = r.config.authentication()
	switch t := &e.Trailer; e.Drop { //nolint:exhaustive // What is not about trailers does not come here.
	case wire.DropLength:
		return ours, fmt.Sprintf("hmac with key %d", t.KeyID)
	case wire.DropHMACMissing:
		return ours, "no trailer"
	case wire.DropHMACUnknownKey:
		return ours, fmt.Sprintf("key %d", t.KeyID)
	case wire.DropHMACInvalid:
		return ours, fmt.Sprintf("another key %d, or a packet that was changed on its way", t.KeyID)
	case wire.DropHMACStale:
		return r.window(), clock(now, t.Stamp)
	case wire.DropHMACReplay:
		return "later ones were heard", "an advertisement from " + clock(now, t.Stamp)
	default:
		return ours, fmt.Sprintf("a trailer of type %d, reserved bytes %#04x", t.Type, t.Reserved)
	}
}

// differsInTrailer is differs for what trailers are compared in; words are only
// looked for when there is something to tell.
func (r *Router) differsInTrailer(now time.Time, kind MismatchKind, peer netip.Addr, detail uint64, actions []Action, words func() (ours, theirs string)) []Action {
	report := r.mismatches[kind].differs(now, peer, detail)
	if report == nil {
		return actions
	}
	report.Kind = kind
	report.Ours, report.Theirs = words()
	return append(actions, *report)
}

// window is how far the clocks may be apart.
func (r *Router) window() string { return "a window of " + r.config.HMAC.Window.String() }

// clock is how far the clock that made a stamp is from this router's, the time on
// the way included.
func clock(now time.Time, s wire.Stamp) string {
	age := s.Age(now)
	if age < 0 {
		return "a clock " + (-age).String() + " ahead"
	}
	return "a clock " + age.String() + " behind"
}
