package bfd

import (
	"encoding/binary"
	"math"
	"time"
)

const (
	// Length is the size of a Control packet without authentication, in bytes
	// (RFC 5880 §4.1).
	Length = 24
	// MaxInterval is the longest interval the 32 bits of microseconds can say.
	MaxInterval = math.MaxUint32 * time.Microsecond

	version = 1
	// authenticatedLength is the least there is with an Authentication Section
	// (RFC 5880 §6.8.6).
	authenticatedLength = 26
)

// The bits of the second byte below the state.
const (
	bitMultipoint = 1 << iota
	bitDemand
	bitAuthentication
	bitControlPlaneIndependent
	bitFinal
	bitPoll
)

// Packet is a BFD Control packet (RFC 5880 §4.1).
type Packet struct {
	State      State
	Diagnostic Diagnostic
	// Poll asks for a packet with Final in return.
	Poll, Final bool
	// ControlPlaneIndependent says that the sender's BFD survives its control
	// plane. It is never set here.
	ControlPlaneIndependent bool
	// Demand asks the receiver to send no periodic packets while both are Up.
	Demand bool
	// Multiplier is how many packets in a row must be missed before the
	// receiver takes the session for lost.
	Multiplier uint8
	// MyDiscriminator is the sender's name for the session, YourDiscriminator
	// the receiver's, zero if the sender does not know it.
	MyDiscriminator, YourDiscriminator uint32
	// DesiredMinTx is how often the sender would like to send, RequiredMinRx how
	// often it is able to receive: whole microseconds. A RequiredMinRx of zero
	// asks for no periodic packets at all.
	DesiredMinTx, RequiredMinRx time.Duration
	// RequiredMinEchoRx is how often the sender returns Echo packets, zero for
	// never.
	RequiredMinEchoRx time.Duration
	// Authentication says that an Authentication Section follows, which is not
	// kept.
	Authentication bool
}

// Append appends the packet's bytes. It has no Authentication Section, whatever
// Authentication says, and the Multipoint bit is zero (RFC 5880 §4.1, §6.8.7).
func (p *Packet) Append(b []byte) []byte {
	flags := byte(p.State) << 6
	for _, f := range [...]struct {
		set bool
		bit byte
	}{
		{p.Poll, bitPoll},
		{p.Final, bitFinal},
		{p.ControlPlaneIndependent, bitControlPlaneIndependent},
		{p.Demand, bitDemand},
	} {
		if f.set {
			flags |= f.bit
		}
	}
	b = append(b, version<<5|byte(p.Diagnostic)&0x1f, flags, p.Multiplier, Length)
	b = binary.BigEndian.AppendUint32(b, p.MyDiscriminator)
	b = binary.BigEndian.AppendUint32(b, p.YourDiscriminator)
	b = binary.BigEndian.AppendUint32(b, microseconds(p.DesiredMinTx))
	b = binary.BigEndian.AppendUint32(b, microseconds(p.RequiredMinRx))
	return binary.BigEndian.AppendUint32(b, microseconds(p.RequiredMinEchoRx))
}

// Check examines a payload by the rules of RFC 5880 §6.8.6 that need no session,
// in their order, and decodes it into p. The first rule that fails is the reason;
// with DropNone p is whole. Then the session is to be found: by YourDiscriminator
// if that is not zero (none has it: DropDiscriminator), else by who sent the
// packet and where it came in (none there: DropNoSession), and gets the rest of
// the rules.
func Check(payload []byte, p *Packet) DropReason {
	switch {
	case len(payload) > 0 && payload[0]>>5 != version:
		return DropVersion
	case len(payload) < 4:
		// Its Length cannot even be read.
		return DropTruncated
	}
	flags, length := payload[1], int(payload[3])
	authenticated := flags&bitAuthentication != 0
	switch {
	case length < Length, authenticated && length < authenticatedLength:
		return DropLength
	case length > len(payload):
		return DropTruncated
	case payload[2] == 0:
		return DropMultiplier
	case flags&bitMultipoint != 0:
		return DropMultipoint
	}
	interval := func(at int) time.Duration {
		return time.Duration(binary.BigEndian.Uint32(payload[at:])) * time.Microsecond
	}
	*p = Packet{
		State:                   State(flags >> 6),
		Diagnostic:              Diagnostic(payload[0] & 0x1f),
		Poll:                    flags&bitPoll != 0,
		Final:                   flags&bitFinal != 0,
		ControlPlaneIndependent: flags&bitControlPlaneIndependent != 0,
		Demand:                  flags&bitDemand != 0,
		Authentication:          authenticated,
		Multiplier:              payload[2],
		MyDiscriminator:         binary.BigEndian.Uint32(payload[4:]),
		YourDiscriminator:       binary.BigEndian.Uint32(payload[8:]),
		DesiredMinTx:            interval(12),
		RequiredMinRx:           interval(16),
		RequiredMinEchoRx:       interval(20),
	}
	switch {
	case p.MyDiscriminator == 0:
		return DropMyDiscriminator
	case p.YourDiscriminator == 0 && p.State != Down && p.State != AdminDown:
		return DropState
	}
	return DropNone
}

// microseconds is what an interval is on the wire.
func microseconds(d time.Duration) uint32 {
	return uint32(min(max(d, 0), MaxInterval) / time.Microsecond)
}
