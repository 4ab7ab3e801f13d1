package bfd

import "time"

// Session is one BFD session. Make it with New; it must not be copied. It is not
// safe for concurrent use.
type Session struct {
	config Config
	// discriminator is this side's name for the session (bfd.LocalDiscr).
	discriminator uint32
	random        func(n uint32) uint32

	started, stopping, ended bool
	state                    State
	diagnostic               Diagnostic
	// since is when the state was entered.
	since time.Time
	// goodbye is until when a stopping session says that it is down.
	goodbye time.Time

	remote   remoteState
	poll     pollState
	transmit transmitState
	detect   detectState
	// news says that the state changed and the peer has not been told.
	news bool
	// packet is the memory of SendPacket.
	packet SendPacket
}

// remoteState is what the peer said of itself last.
type remoteState struct {
	// discriminator is zero while nothing is heard (bfd.RemoteDiscr).
	discriminator uint32
	state         State
	diagnostic    Diagnostic
	demand        bool
	multiplier    uint8
	desiredMinTx  time.Duration
	// minRx is bfd.RemoteMinRxInterval: how often the peer can receive.
	minRx time.Duration
}

// silent is what is known of a peer that is not heard (RFC 5880 §6.8.1). Its
// interval of a microsecond limits nothing.
func silent() remoteState { return remoteState{state: Down, minRx: time.Microsecond} }

// New makes a session in Down (RFC 5880 §6.8.1) that waits for Started. The
// configuration must be valid; the discriminator is not zero and no other
// session's on this machine. random answers a number below n, for the jitter of
// each packet.
func New(config Config, discriminator uint32, random func(n uint32) uint32) *Session {
	s := &Session{
		config: config, discriminator: discriminator, random: random,
		state: Down, remote: silent(), poll: pollState{settled: true},
	}
	if config.Disabled {
		s.state, s.diagnostic = AdminDown, DiagAdministrativelyDown
	}
	s.transmit.desired, s.detect.required = s.desiredMinTx(), config.MinRx
	s.transmit.inUse, s.detect.inUse = s.transmit.desired, s.detect.required
	return s
}

// Handle takes one event that happened at now and appends to actions what has to
// be done about it, in order.
func (s *Session) Handle(now time.Time, event Event, actions []Action) []Action {
	if s.ended {
		return actions
	}
	switch e := event.(type) {
	case Started:
		if !s.started {
			s.started, s.since, s.news = true, now, true
			s.transmit.last = now
			return s.tell(now, actions)
		}
	case *PacketReceived:
		if s.started {
			return s.received(now, e, actions)
		}
	case DeadlineReached:
		if s.started {
			return s.deadlineReached(now, actions)
		}
	case Reconfigured:
		return s.reconfigured(now, e.Config, actions)
	case Stopped:
		return s.stop(now, actions)
	}
	return actions
}

// Deadline is when Handle wants to see DeadlineReached next, if ever.
func (s *Session) Deadline() (time.Time, bool) {
	if !s.started || s.ended {
		return time.Time{}, false
	}
	first := s.detect.deadline(&s.remote)
	if s.periodic() {
		first = earliest(first, s.transmit.deadline(s.interval()))
	}
	first = earliest(first, s.goodbye)
	return first, !first.IsZero()
}

// State is the present state.
func (s *Session) State() State { return s.state }

// Discriminator is the one given to New.
func (s *Session) Discriminator() uint32 { return s.discriminator }

// Ended says that the session was stopped and has said so for long enough.
func (s *Session) Ended() bool { return s.ended }

func (s *Session) deadlineReached(now time.Time, actions []Action) []Action {
	if due(s.detect.deadline(&s.remote), now) {
		actions = s.expired(now, actions)
	}
	if s.periodic() && due(s.transmit.deadline(s.interval()), now) {
		s.transmit.next(now, s)
		actions = s.send(s.poll.active, false, actions)
	}
	if due(s.goodbye, now) {
		s.ended = true
	}
	return actions
}

// expired is the end of a Detection Time without a packet (RFC 5880 §6.8.4).
func (s *Session) expired(now time.Time, actions []Action) []Action {
	// What the peer said counts no longer (§6.8.1), its wish for rare packets
	// included (§6.8.18).
	s.remote, s.detect.heard = silent(), time.Time{}
	if s.state != Init && s.state != Up {
		return actions
	}
	change := s.enter(now, Down, DiagDetectionTimeExpired)
	return append(s.tell(now, actions), change)
}

// reconfigured takes over another configuration.
func (s *Session) reconfigured(now time.Time, config Config, actions []Action) []Action {
	differs := s.config.Multiplier != config.Multiplier
	s.config = config
	if s.stopping {
		return actions
	}
	if !s.started {
		*s = *New(config, s.discriminator, s.random)
		return actions
	}
	switch {
	case config.Disabled && s.state != AdminDown:
		change := s.enter(now, AdminDown, DiagAdministrativelyDown)
		return append(s.tell(now, actions), change)
	case !config.Disabled && s.state == AdminDown:
		change := s.enter(now, Down, DiagNone)
		return append(s.tell(now, actions), change)
	}
	s.retime()
	if differs && s.demanded() {
		// The peer gets no packet from which to learn it (RFC 5880 §6.6).
		s.poll.start()
	}
	return actions
}

func (s *Session) stop(now time.Time, actions []Action) []Action {
	switch {
	case s.stopping:
		return actions
	case !s.started:
		s.ended = true
		return actions
	}
	s.stopping = true
	// At least the Detection Time of the peer, by the interval it is about to
	// be told. A peer that was not heard is told once.
	s.goodbye = now
	if s.remote.discriminator != 0 {
		slow := max(s.config.IdleTx, s.config.MinTx, SlowTx, s.remote.minRx)
		s.goodbye = now.Add(time.Duration(s.config.Multiplier) * slow)
	}
	if s.state != AdminDown {
		change := s.enter(now, AdminDown, DiagAdministrativelyDown)
		actions = append(s.tell(now, actions), change)
	}
	s.ended = due(s.goodbye, now)
	return actions
}

// enter makes a transition. What follows from it for the timers is done; that the
// peer is told of it is left to the caller.
func (s *Session) enter(now time.Time, to State, why Diagnostic) StateChanged {
	change := StateChanged{
		From: s.state, To: to, Diagnostic: why,
		RemoteState: s.remote.state, RemoteDiagnostic: s.remote.diagnostic,
	}
	s.state, s.diagnostic, s.since = to, why, now
	s.news = true
	s.retime()
	return change
}

// tell sends a packet between the periodic ones if the state has changed
// (RFC 5880 §6.8.7). It never begins a Poll Sequence: that is left to the
// periodic packets (§6.5).
func (s *Session) tell(now time.Time, actions []Action) []Action {
	if !s.news || !s.mayTransmit() {
		return actions
	}
	s.transmit.next(now, s)
	return s.send(false, false, actions)
}

// send makes a packet of what is so (RFC 5880 §6.8.7).
func (s *Session) send(poll, final bool, actions []Action) []Action {
	s.news = false
	s.packet = SendPacket{Packet{
		State: s.state, Diagnostic: s.diagnostic, Poll: poll, Final: final,
		Multiplier:      s.config.Multiplier,
		MyDiscriminator: s.discriminator, YourDiscriminator: s.remote.discriminator,
		DesiredMinTx: s.transmit.desired, RequiredMinRx: s.detect.required,
	}}
	return append(actions, &s.packet)
}
