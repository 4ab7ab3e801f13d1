package wire

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// HMAC is how a virtual router authenticates its advertisements with a trailer
// behind the message: HMAC-SHA-256 under a shared key, against forgery, and a
// number, against replay. The format is what Keepalived 2.4.2 and later speaks
// (draft-cassen-vrrp-auth-hmac), over IPv4 and IPv6. In version 2 it is
// Keepalived's alone. The zero value is no such authentication.
//
// It proves who sent an advertisement, and that it is new. It does not hide it,
// does not cover the destination or the TTL, which Check looks at all the same,
// and cannot help against whoever keeps advertisements from arriving.
type HMAC struct {
	Keys   KeyRing
	Mode   HMACMode
	Regime ReplayRegime
	// Window is how far the clocks of two routers may be apart, the time on the
	// way included: whole seconds, 1 s to 5 min. Monotonic does not use it.
	Window time.Duration
}

// The bounds of the window.
const (
	MinWindow = time.Second
	MaxWindow = 5 * time.Minute

	// minDefaultWindow is what a network time service keeps with ease.
	minDefaultWindow = 5 * time.Second
)

// DefaultWindow is the window for an advertisement interval, as configured: three
// times its whole seconds, as far as the bounds and 5 s allow. It is Keepalived's.
func DefaultWindow(interval time.Duration) time.Duration {
	return min(max(3*interval.Truncate(time.Second), minDefaultWindow), MaxWindow)
}

// Validate says whether the values belong together. The zero value is valid.
func (h *HMAC) Validate() error {
	switch {
	case h.Keys.Empty():
		if h.Mode != Enforce || h.Regime != Windowed || h.Window != 0 {
			return errors.New("authenticate by trailer: there are no keys: add one, or remove the rest")
		}
	case h.Mode > ReceiveOnly:
		return fmt.Errorf("authenticate by trailer: mode %d is not one", h.Mode)
	case h.Regime > Monotonic:
		return fmt.Errorf("authenticate by trailer: replay regime %d is not one", h.Regime)
	case h.Regime == Windowed && (h.Window < MinWindow || h.Window > MaxWindow || h.Window%time.Second != 0):
		return fmt.Errorf("authenticate by trailer: window %v is not in %v to %v in steps of 1s", h.Window, MinWindow, MaxWindow)
	}
	return nil
}

// Configured says whether trailers are looked for.
func (h *HMAC) Configured() bool { return !h.Keys.Empty() }

// Sends says whether advertisements leave with a trailer: by AppendHMAC, and not
// by Append.
func (h *HMAC) Sends() bool { return h.Configured() && h.Mode != ReceiveOnly }

// Equal says whether both authenticate in the same way.
func (h *HMAC) Equal(other *HMAC) bool {
	return h.Mode == other.Mode && h.Regime == other.Regime && h.Window == other.Window && h.Keys.Equal(other.Keys)
}

// String names the mode and the keys by their ids.
func (h *HMAC) String() string {
	if !h.Configured() {
		return "no hmac"
	}
	return fmt.Sprintf("hmac, %v, %v", h.Mode, h.Keys)
}

// fresh says whether the stamp is inside the window.
func (h *HMAC) fresh(s Stamp, now time.Time) bool {
	age := s.Age(now)
	return age <= h.Window && age >= -h.Window
}

// HMACMode is a step on the way of a group from no trailers to nothing but
// trailers. A bad trailer is dropped in all of them.
type HMACMode uint8

// The modes, in the reverse of the order in which a group goes through them. All
// routers reach one before any goes on to the next: those that know no trailers
// drop what comes with one, for its length.
const (
	// Enforce: send trailers and believe nothing without.
	Enforce HMACMode = iota
	// Permissive: send trailers and believe those without, too. Until it is over
	// a forger need only leave the trailer out.
	Permissive
	// ReceiveOnly: send none and believe those without, too.
	ReceiveOnly
)

// String is the mode's word, which is Keepalived's.
func (m HMACMode) String() string {
	switch m {
	case Enforce:
		return "enforce"
	case Permissive:
		return "permissive"
	case ReceiveOnly:
		return "receive-only"
	default:
		return fmt.Sprintf("mode %d", uint8(m))
	}
}

// ReplayRegime is what keeps a recorded advertisement from counting again. It is
// each router's own and does not show on the wire.
type ReplayRegime uint8

// The regimes.
const (
	// Windowed: a stamp must be above all the sender's before, and near this
	// router's clock. The clocks of a group must agree within the window.
	Windowed ReplayRegime = iota
	// Monotonic: a stamp must be above all the sender's before. No clocks need
	// agree, yet a sender that starts again with its clock behind where it was is
	// not believed until it has caught up, and a router that starts again takes
	// the first stamp it hears, be it years old.
	Monotonic
)

// String is the regime's word, which is Keepalived's.
func (r ReplayRegime) String() string {
	switch r {
	case Windowed:
		return "time"
	case Monotonic:
		return "monotonic"
	default:
		return fmt.Sprintf("regime %d", uint8(r))
	}
}

// AppendHMAC encodes an advertisement with a trailer behind dst, for the key to
// send with. The stamp is Stamps.Next's, asked once for each advertisement: copies
// of it to several unicast peers have the same one. Everything else is as in
// Append. Authentication of version 2 beside it is refused, where Keepalived
// leaves out the weaker one.
func (a Advertisement) AppendHMAC(dst []byte, source, destination netip.Addr, form ChecksumForm, keys KeyRing, stamp Stamp) ([]byte, error) {
	switch {
	case keys.Empty():
		return dst, errors.New("encode advertisement: the trailer needs a key")
	case a.Auth.Type != AuthNone:
		return dst, fmt.Errorf("encode advertisement: a trailer goes with no authentication of type %v", a.Auth.Type)
	}
	if err := a.Family.validSource(source, destination); err != nil {
		return dst, err
	}
	packet, err := a.appendMessage(dst)
	if err != nil {
		return dst, err
	}
	packet = keys.sending.appendTrailer(packet, packet[len(dst):], source, stamp)
	a.seal(packet[len(dst):], source, destination, form)
	return packet, nil
}

// checkTrailer looks at what follows the message, in the order in which Keepalived
// does: what is cheap to find out first, the replay mark last, which moves only
// for what was found authentic.
func (e *Expect) checkTrailer(m Meta, message, rest []byte, f *Findings) DropReason {
	if len(rest) != TrailerLength {
		// It is not there. What else may follow is link padding, which is shorter.
		if e.HMAC.Mode == Enforce {
			return DropHMACMissing
		}
		f.Unsigned = true
		return DropNone
	}
	t := parseTrailer(rest)
	if t.Type != trailerHMACSHA256 || t.Reserved != 0 {
		return DropHMACMalformed
	}
	// Without a time nothing is fresh.
	if e.HMAC.Regime == Windowed && (m.Arrived.IsZero() || !e.HMAC.fresh(t.Stamp, m.Arrived)) {
		return DropHMACStale
	}
	key, known := e.HMAC.Keys.find(t.KeyID)
	switch {
	case !known:
		return DropHMACUnknownKey
	case !key.authentic(m.Source, message, rest):
		return DropHMACInvalid
	case e.Marks == nil || !e.Marks.accept(m.Source, t.Stamp, m.Arrived, &e.HMAC):
		return DropHMACReplay
	}
	f.Clock = e.HMAC.Regime == Windowed && t.Stamp.Age(m.Arrived).Abs() > e.HMAC.Window/2
	return DropNone
}
