package bfd

// Action is something the caller has to do.
//
//sumtype:decl
type Action interface{ action() }

// SendPacket is to be sent at once. It points into the Session and is valid until
// the next call of Handle, which never asks for more than one.
type SendPacket struct{ Packet Packet }

// StateChanged tells of a transition, after the packet that tells the peer.
type StateChanged struct {
	From, To State
	// Diagnostic is why, as the peer is told. To Init and Up it is DiagNone.
	Diagnostic Diagnostic
	// RemoteState and RemoteDiagnostic are what the peer said last.
	RemoteState      State
	RemoteDiagnostic Diagnostic
}

// PacketDropped says that a packet which was for this session does not count.
type PacketDropped struct{ Reason DropReason }

func (*SendPacket) action()   {}
func (StateChanged) action()  {}
func (PacketDropped) action() {}
