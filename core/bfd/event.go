package bfd

// Event is something that happened to a session.
//
//sumtype:decl
type Event interface{ event() }

// Started begins the session. Before it nothing is sent and nothing heard.
type Started struct{}

// PacketReceived is a packet that passed Check and is for this session. It is
// handed over by pointer and not kept.
type PacketReceived struct {
	Packet Packet
	// TTL is the one of Meta.
	TTL int
}

// DeadlineReached is sent when the time Deadline told has come.
type DeadlineReached struct{}

// Reconfigured carries a configuration for the same session. The state is kept,
// unless Disabled says otherwise: the peer learns new intervals by a Poll
// Sequence (RFC 5880 §6.8.3).
type Reconfigured struct{ Config Config }

// Stopped ends the session: it goes to AdminDown, says so at once, and again at
// its slow rate for a Detection Time (RFC 5880 §6.8.16), and then has Ended. A
// caller that has not that much time may forget it after the first packet.
type Stopped struct{}

func (Started) event()         {}
func (*PacketReceived) event() {}
func (DeadlineReached) event() {}
func (Reconfigured) event()    {}
func (Stopped) event()         {}
