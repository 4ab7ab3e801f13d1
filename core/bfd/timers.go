package bfd

import "time"

// transmitState is when to send. The deadline is not stored: it follows from the
// last packet and the interval that is in force when it is asked for, so that a
// change is effective at once (RFC 5880 §6.8.3).
type transmitState struct {
	// desired is what the peer is told (bfd.DesiredMinTxInterval), inUse what
	// is kept to, which lags behind while a Poll Sequence has not ended.
	desired, inUse time.Duration
	// last is the last packet that was not an answer, or the start.
	last time.Time
	// jitter is by how many millionths the interval after last is shortened.
	jitter uint32
}

// detectState is when the peer is lost.
type detectState struct {
	// required is what the peer is told (bfd.RequiredMinRxInterval), inUse what
	// is reckoned with, which lags behind while a Poll Sequence has not ended.
	required, inUse time.Duration
	// heard is when the last packet came, zero if none did for a Detection
	// Time.
	heard time.Time
}

const (
	million = 1_000_000
	// maxJitter is a quarter. minJitterAlone is a tenth, so that a peer which
	// may miss no packet at all gets each in time (RFC 5880 §6.8.7).
	maxJitter      = million / 4
	minJitterAlone = million / 10
)

// next notes that a packet goes out now, and draws how long the next one waits.
func (t *transmitState) next(now time.Time, s *Session) {
	least := uint32(0)
	if s.config.Multiplier == 1 {
		least = minJitterAlone
	}
	t.last, t.jitter = now, least+s.random(maxJitter-least+1)
}

// deadline is when the next periodic packet is due.
func (t *transmitState) deadline(interval time.Duration) time.Time {
	// The longest interval is 2^32 microseconds, which a million fits into.
	return t.last.Add(interval - interval*time.Duration(t.jitter)/million)
}

// time is how long a peer that is heard may be silent (RFC 5880 §6.8.4).
func (d *detectState) time(r *remoteState) time.Duration {
	return time.Duration(r.multiplier) * max(d.inUse, r.desiredMinTx)
}

// deadline is when it was silent for too long, zero if it is not heard at all.
func (d *detectState) deadline(r *remoteState) time.Time {
	if d.heard.IsZero() {
		return time.Time{}
	}
	return d.heard.Add(d.time(r))
}

// desiredMinTx is what bfd.DesiredMinTxInterval has to be in the present state
// (RFC 5880 §6.8.3).
func (s *Session) desiredMinTx() time.Duration {
	if s.state == Up {
		return s.config.MinTx
	}
	return max(s.config.IdleTx, s.config.MinTx, SlowTx)
}

// interval is that of the periodic packets, before jitter: the slower side
// decides (RFC 5880 §6.8.2, §6.8.7).
func (s *Session) interval() time.Duration { return max(s.transmit.inUse, s.remote.minRx) }

// retime makes the intervals those of the state and the configuration, and lets
// the peer confirm what has changed (RFC 5880 §6.8.3).
func (s *Session) retime() {
	desired, required := s.desiredMinTx(), s.config.MinRx
	if desired != s.transmit.desired || required != s.detect.required {
		s.transmit.desired, s.detect.required = desired, required
		s.poll.start()
	}
	// A session that is Up sends no rarer, and expects packets no more often,
	// than the peer knows.
	if s.state != Up || desired < s.transmit.inUse {
		s.transmit.inUse = desired
	}
	if s.state != Up || required > s.detect.inUse {
		s.detect.inUse = required
	}
}

// agreed is the end of a Poll Sequence: the peer knows what it was told.
func (s *Session) agreed() {
	s.transmit.inUse, s.detect.inUse = s.transmit.desired, s.detect.required
}

// mayTransmit says whether anything may be sent at all (RFC 5880 §6.8.7).
func (s *Session) mayTransmit() bool {
	return !s.config.Passive || s.remote.discriminator != 0
}

// demanded says whether Demand mode is active on the peer (RFC 5880 §6.6).
func (s *Session) demanded() bool {
	return s.remote.demand && s.state == Up && s.remote.state == Up
}

// periodic says whether packets are sent regularly (RFC 5880 §6.8.7).
func (s *Session) periodic() bool {
	return s.mayTransmit() && s.remote.minRx > 0 && (!s.demanded() || s.poll.active)
}

// earliest is the earlier of two deadlines, of which zero is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// due says whether a deadline has come.
func due(deadline, now time.Time) bool {
	return !deadline.IsZero() && !now.Before(deadline)
}
