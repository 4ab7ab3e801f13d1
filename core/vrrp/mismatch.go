package vrrp

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// mismatchPause is the shortest time between two reports of one kind. What
// changes faster than this is reported once it is over, if it still differs.
const mismatchPause = 10 * time.Second

// MismatchKind is a way in which a peer and this router disagree.
type MismatchKind uint8

// The kinds.
const (
	// MismatchAddresses: the peer advertises other addresses. Its
	// advertisements count.
	MismatchAddresses MismatchKind = iota
	// MismatchInterval: another interval. Version 3 learns it; version 2 drops
	// the advertisement (RFC 3768 §7.1), so that both routers become active.
	MismatchInterval
	// MismatchChecksum: version 3 summed in the other form. Counts.
	MismatchChecksum
	// MismatchVersion: another version. Dropped: both routers become active.
	MismatchVersion
	// MismatchAuthentication: another type, password or key. Dropped likewise,
	// unless it is permitted to do without a trailer.
	MismatchAuthentication
	// MismatchClock: the peer's trailers have a time that is more than half of
	// the window away from this router's clock. Beyond the whole of it they are
	// dropped, and both routers become active. Either clock may be wrong.
	MismatchClock
	// MismatchReplay: trailers are not after those that were heard before. The
	// peer's clock was set back, or somebody repeats what it has said. Dropped.
	MismatchReplay
	// MismatchOtherActive: advertisements of another active router arrive
	// while this one is active: a network that was split, or is half deaf.
	MismatchOtherActive
	// MismatchTwoOwners: another router has priority 255 too.
	MismatchTwoOwners
	// MismatchOwnAddress: advertisements come from this router's own address:
	// an address used twice, or a network that reflects.
	MismatchOwnAddress
)

const mismatchKinds = int(MismatchOwnAddress) + 1

// String is the kind's word in logs, status and metrics.
func (k MismatchKind) String() string {
	names := [mismatchKinds]string{
		"addresses", "interval", "checksum", "version", "authentication", "clock", "replay",
		"other_active", "two_owners", "own_address",
	}
	if int(k) >= len(names) {
		return "unknown"
	}
	return names[k]
}

// Mismatch reports a disagreement: once when it appears and once when it
// changes, never per packet. It is armed again when the peer sends an
// advertisement without it, or the configuration changes.
type Mismatch struct {
	Kind MismatchKind
	Peer netip.Addr
	// Ours and Theirs are the two values, for people to read. A password is
	// not among them.
	Ours, Theirs string
}

// mismatchPeers is how many peers are remembered per kind. Beyond it the one
// heard longest ago is forgotten, and reported again when it comes back.
const mismatchPeers = 4

// mismatchState is what is known of one kind.
type mismatchState struct {
	// at is when the last report was made.
	at    time.Time
	peers []mismatchEntry
}

// mismatchEntry is one disagreement that was reported and persists.
type mismatchEntry struct {
	report Mismatch
	// detail tells one disagreement from another without building its text.
	detail uint64
	seen   time.Time
}

// differs notes a disagreement and returns where to put the report if one is
// due, or nil.
func (s *mismatchState) differs(now time.Time, peer netip.Addr, detail uint64) *Mismatch {
	oldest := 0
	for i := range s.peers {
		e := &s.peers[i]
		if e.report.Peer == peer {
			e.seen = now
			if e.detail == detail || now.Sub(s.at) < mismatchPause {
				return nil
			}
			s.at, e.detail = now, detail
			return &e.report
		}
		if e.seen.Before(s.peers[oldest].seen) {
			oldest = i
		}
	}
	if !s.at.IsZero() && now.Sub(s.at) < mismatchPause {
		return nil
	}
	s.at = now
	entry := mismatchEntry{report: Mismatch{Peer: peer}, detail: detail, seen: now}
	if len(s.peers) < mismatchPeers {
		s.peers = append(s.peers, entry)
		return &s.peers[len(s.peers)-1].report
	}
	s.peers[oldest] = entry
	return &s.peers[oldest].report
}

// forget drops the entries for which gone says so.
func (s *mismatchState) forget(gone func(*mismatchEntry) bool) {
	kept := s.peers[:0]
	for i := range s.peers {
		if !gone(&s.peers[i]) {
			kept = append(kept, s.peers[i])
		}
	}
	s.peers = kept
}

// observe notes what an accepted advertisement disagrees about.
func (r *Router) observe(now time.Time, e *AdvertReceived, actions []Action) []Action {
	a := &e.Advertisement
	if e.Findings.Addresses {
		actions = r.differs(now, MismatchAddresses, e.Source, a, addressDetail(a.Addresses), actions)
	}
	if e.Findings.Interval {
		actions = r.differs(now, MismatchInterval, e.Source, a, uint64(a.Interval), actions)
	}
	if e.Findings.Checksum {
		actions = r.differs(now, MismatchChecksum, e.Source, a, 0, actions)
	}
	if a.Priority == wire.PriorityOwner && r.config.owner() && compareAddresses(e.Source, r.source) != 0 {
		actions = r.differs(now, MismatchTwoOwners, e.Source, a, 0, actions)
	}
	actions = r.observeTrailer(now, e, actions)
	r.agrees(now, e)
	return actions
}

// agrees clears what this peer was reported for and does not do any more.
func (r *Router) agrees(now time.Time, e *AdvertReceived) {
	for i := range r.mismatches {
		s := &r.mismatches[i]
		if len(s.peers) == 0 {
			continue
		}
		persists := false
		switch MismatchKind(i) {
		case MismatchAddresses:
			persists = e.Findings.Addresses
		case MismatchInterval:
			persists = e.Findings.Interval
		case MismatchChecksum:
			persists = e.Findings.Checksum
		case MismatchVersion, MismatchClock, MismatchReplay:
			// One that speaks both goes on being heard in the other. And where
			// packets are forged in its name, it goes on being heard itself.
			r.forgetSilent(now, s, e)
			continue
		case MismatchAuthentication:
			if r.config.HMAC.Configured() {
				r.forgetSilent(now, s, e)
				continue
			}
		case MismatchTwoOwners:
			persists = e.Advertisement.Priority == wire.PriorityOwner
		case MismatchOtherActive, MismatchOwnAddress:
			// Cleared by silence.
			persists = true
		}
		if !persists {
			s.forget(func(m *mismatchEntry) bool { return m.report.Peer == e.Source })
		}
	}
}

// forgetSilent clears what the peer was reported for and has not done for a while,
// although it was heard, and what nobody has heard of others for longer.
func (r *Router) forgetSilent(now time.Time, s *mismatchState, e *AdvertReceived) {
	patience := 3 * max(r.config.Interval, e.Advertisement.Interval)
	s.forget(func(m *mismatchEntry) bool {
		silent := now.Sub(m.seen)
		return silent > patience+mismatchPause || silent > patience && m.report.Peer == e.Source
	})
}

// silence clears what only repeated advertisements keep true.
func (r *Router) silence(now time.Time) {
	patience := 3 * r.config.Interval
	for _, kind := range [...]MismatchKind{MismatchAuthentication, MismatchClock, MismatchReplay} {
		if s := &r.mismatches[kind]; len(s.peers) > 0 {
			s.forget(func(m *mismatchEntry) bool { return now.Sub(m.seen) > patience+mismatchPause })
		}
	}
	for _, kind := range [...]MismatchKind{MismatchOtherActive, MismatchOwnAddress} {
		if s := &r.mismatches[kind]; len(s.peers) > 0 {
			s.forget(func(m *mismatchEntry) bool { return now.Sub(m.seen) > patience })
		}
	}
}

// rejected reports the checks that fail because two configurations differ. The
// rest is damage, which counters tell.
func (r *Router) rejected(now time.Time, e *AdvertRejected, actions []Action) []Action {
	a := &e.Advertisement
	switch e.Drop {
	case wire.DropVersion:
		return r.differs(now, MismatchVersion, e.Source, a, uint64(a.Version), actions)
	case wire.DropAuthType:
		return r.differs(now, MismatchAuthentication, e.Source, a, uint64(a.Auth.Type), actions)
	case wire.DropPassword, wire.DropICV:
		return r.differs(now, MismatchAuthentication, e.Source, a, uint64(a.Auth.Type)<<8, actions)
	case wire.DropInterval:
		return r.differs(now, MismatchInterval, e.Source, a, uint64(a.Interval), actions)
	case wire.DropLength, wire.DropHMACMissing, wire.DropHMACMalformed, wire.DropHMACStale, wire.DropHMACUnknownKey,
		wire.DropHMACInvalid, wire.DropHMACReplay:
		return r.trailerRejected(now, e, actions)
	case wire.DropNone, wire.DropTTL, wire.DropType, wire.DropChecksum,
		wire.DropDestination, wire.DropNoAddresses, wire.DropZeroInterval, wire.DropSPI, wire.DropReplay:
	}
	return actions
}

func (r *Router) differs(now time.Time, kind MismatchKind, peer netip.Addr, a *wire.Advertisement, detail uint64, actions []Action) []Action {
	report := r.mismatches[kind].differs(now, peer, detail)
	if report == nil {
		return actions
	}
	report.Kind = kind
	report.Ours, report.Theirs = r.describe(kind, peer, a)
	return append(actions, *report)
}

// describe is the two values of a disagreement in words.
func (r *Router) describe(kind MismatchKind, peer netip.Addr, a *wire.Advertisement) (ours, theirs string) {
	c := &r.config
	switch kind {
	case MismatchAddresses:
		return fmt.Sprint(c.Addresses), fmt.Sprint(a.Addresses)
	case MismatchInterval:
		return c.Interval.String(), a.Interval.String()
	case MismatchChecksum:
		if c.Checksum == wire.Plain {
			return wire.Plain.String(), wire.PseudoHeader.String()
		}
		return wire.PseudoHeader.String(), wire.Plain.String()
	case MismatchVersion:
		return fmt.Sprint(c.Version), fmt.Sprint(a.Version)
	case MismatchAuthentication:
		if a.Auth.Type == c.Auth.Type {
			return c.Auth.Type.String(), "another password"
		}
		return c.authentication(), a.Auth.Type.String()
	case MismatchOtherActive, MismatchTwoOwners:
		return fmt.Sprintf("priority %d from %v", r.priority, r.source), fmt.Sprintf("priority %d from %v", a.Priority, peer)
	case MismatchOwnAddress:
		return r.source.String(), peer.String()
	case MismatchClock, MismatchReplay:
		return "", "" // Told where the trailer is at hand.
	default:
		return "", ""
	}
}

// addressDetail is a hash (FNV-1a of each address, added up) that does not
// depend on the order.
func addressDetail(addresses []netip.Addr) uint64 {
	var total uint64
	for _, addr := range addresses {
		hash := uint64(14695981039346656037)
		for _, b := range addr.As16() {
			hash = (hash ^ uint64(b)) * 1099511628211
		}
		total += hash
	}
	return total
}
