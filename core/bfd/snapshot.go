package bfd

import "time"

// Snapshot is what an operator may know about a session. It shares nothing with
// the Session.
type Snapshot struct {
	State      State
	Diagnostic Diagnostic
	// Since is when the state was entered; zero before Started.
	Since time.Time
	// RemoteState and RemoteDiagnostic are what the peer said last.
	RemoteState      State
	RemoteDiagnostic Diagnostic
	// Discriminator and RemoteDiscriminator are the two sides' names for the
	// session, the latter zero while the peer is not heard.
	Discriminator, RemoteDiscriminator uint32
	// TransmitInterval is that of the periodic packets before jitter, zero if
	// there are none. DetectionTime is how long the peer may be silent, zero
	// while it is not heard.
	TransmitInterval, DetectionTime time.Duration
	// RemoteMinTx, RemoteMinRx and RemoteMultiplier are what the peer told of
	// its own intervals; zero while it is not heard.
	RemoteMinTx, RemoteMinRx time.Duration
	RemoteMultiplier         uint8
	// RemoteDemand says that the peer has asked for no periodic packets.
	RemoteDemand bool
	// Polling says that the peer has not yet confirmed the intervals.
	Polling bool
	// Heard is when the last packet came; zero while the peer is not heard.
	Heard time.Time
}

// Snapshot describes the session.
func (s *Session) Snapshot() Snapshot {
	v := Snapshot{
		State: s.state, Diagnostic: s.diagnostic, Since: s.since,
		RemoteState: s.remote.state, RemoteDiagnostic: s.remote.diagnostic,
		Discriminator: s.discriminator, RemoteDiscriminator: s.remote.discriminator,
		RemoteDemand: s.remote.demand, Polling: s.poll.active || s.poll.again, Heard: s.detect.heard,
	}
	if s.started && s.periodic() {
		v.TransmitInterval = s.interval()
	}
	if !s.detect.heard.IsZero() {
		v.DetectionTime = s.detect.time(&s.remote)
		v.RemoteMinTx, v.RemoteMinRx, v.RemoteMultiplier = s.remote.desiredMinTx, s.remote.minRx, s.remote.multiplier
	}
	return v
}
