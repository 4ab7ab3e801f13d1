package rawsock

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// claim is what a frame says: this address is at this hardware address.
type claim struct {
	address netip.Addr
	mac     [6]byte
}

// Places in an Ethernet frame with an ARP packet for IPv4 (RFC 826), in bytes.
const (
	arpTypes        = etherHeaderLength     // of hardware and of protocol,
	arpLengths      = etherHeaderLength + 4 // of their addresses.
	arpOperation    = etherHeaderLength + 6
	arpSenderMAC    = etherHeaderLength + 8
	arpSenderIP     = etherHeaderLength + 14
	arpEthernetIPv4 = unix.ARPHRD_ETHER<<16 | unix.ETH_P_IP
	arpSixAndFour   = 6<<8 | 4
)

// Places in an Ethernet frame with a neighbor advertisement, in bytes. It comes
// without extension headers: nobody sends any with it, and fragments are not to
// be accepted (RFC 6980 §5).
const (
	ipv6NextHeader = etherHeaderLength + 6
	ipv6HopLimit   = etherHeaderLength + 7
	naType         = etherHeaderLength + ipv6HeaderLength
	naCode         = naType + 1
	naTarget       = naType + 8
	naOptions      = naType + naLength
)

// parseARP reads the claim in an ARP packet. Its sender claims to have its
// protocol address, in a request as well as in a reply (RFC 5227 §2.4); one
// without an address only asks whether somebody has it (RFC 5227 §2.1.1).
func parseARP(frame []byte) (claim, bool) {
	if len(frame) < ARPFrameSize ||
		binary.BigEndian.Uint16(frame[etherTypeOffset:]) != unix.ETH_P_ARP ||
		binary.BigEndian.Uint32(frame[arpTypes:]) != arpEthernetIPv4 ||
		binary.BigEndian.Uint16(frame[arpLengths:]) != arpSixAndFour {
		return claim{}, false
	}
	if op := binary.BigEndian.Uint16(frame[arpOperation:]); op != arpRequest && op != arpReply {
		return claim{}, false
	}
	c := claim{netip.AddrFrom4([4]byte(frame[arpSenderIP:])), [6]byte(frame[arpSenderMAC:])}
	return c, !c.address.IsUnspecified()
}

// parseNA reads the claim in a neighbor advertisement: that its target is at the
// hardware address in the option, or without one at that of the frame. The
// checksum is not verified: on a virtual cable the kernel leaves it out.
func parseNA(frame []byte) (claim, bool) {
	if len(frame) < naOptions ||
		binary.BigEndian.Uint16(frame[etherTypeOffset:]) != unix.ETH_P_IPV6 ||
		frame[ipv6NextHeader] != unix.IPPROTO_ICMPV6 ||
		frame[ipv6HopLimit] != neighborHopLimit || // RFC 4861 §7.1.2, as the code is.
		frame[naType] != neighborAdvertisement || frame[naCode] != 0 {
		return claim{}, false
	}
	c := claim{netip.AddrFrom16([16]byte(frame[naTarget:])), [6]byte(frame[6:])}
	for options := frame[naOptions:]; len(options) >= linkOptionLength; {
		length := int(options[1]) * 8
		if length == 0 || length > len(options) {
			break // RFC 4861 §4.6: or it is only that the frame was cut.
		}
		if options[0] == targetLinkOption {
			c.mac = [6]byte(options[2:])
			break
		}
		options = options[length:]
	}
	return c, !c.address.IsMulticast() && !c.address.IsUnspecified()
}

const (
	// claimLength is how much of a frame is looked at.
	claimLength = 192
	// filterRoom is how many addresses fit into a filter of 4096 instructions.
	// With more the kernel lets pass the claims of all.
	filterRoom = 2000
	// packetOtherHost is PACKET_OTHERHOST.
	packetOtherHost = 3
)

// arpFilter lets pass the ARP packets whose sender claims one of the addresses.
func arpFilter(addresses []netip.Addr) []bpf.Instruction {
	return claimFilter([]bpf.Instruction{
		bpf.LoadAbsolute{Off: arpTypes, Size: 4},
		otherwiseDrop(arpEthernetIPv4),
		bpf.LoadAbsolute{Off: arpLengths, Size: 2},
		otherwiseDrop(arpSixAndFour),
		bpf.LoadAbsolute{Off: arpSenderIP, Size: 4},
	}, addresses)
}

// naFilter lets pass the neighbor advertisements whose target ends like one of
// the addresses.
func naFilter(addresses []netip.Addr) []bpf.Instruction {
	return claimFilter([]bpf.Instruction{
		bpf.LoadAbsolute{Off: ipv6NextHeader, Size: 1},
		otherwiseDrop(unix.IPPROTO_ICMPV6),
		bpf.LoadAbsolute{Off: naType, Size: 1},
		otherwiseDrop(neighborAdvertisement),
		bpf.LoadAbsolute{Off: naTarget + 12, Size: 4},
	}, addresses)
}

// otherwiseDrop stands for a comparison with a value, which claimFilter turns into
// a jump.
func otherwiseDrop(value uint32) bpf.Instruction {
	return bpf.JumpIf{Cond: bpf.JumpEqual, Val: value, SkipTrue: 1}
}

// claimFilter puts the parts together: the tests, the last of which loads what is
// to be compared with the last four bytes of the addresses. Frames that belong to
// a VLAN are not the link's; the kernel hands them over as somebody else's, since
// the VLAN has no link here.
func claimFilter(tests []bpf.Instruction, addresses []netip.Addr) []bpf.Instruction {
	filter := []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType}, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: packetOtherHost, SkipTrue: 1}, bpf.RetConstant{},
	}
	for _, test := range tests {
		filter = append(filter, test)
		if _, jumps := test.(bpf.JumpIf); jumps {
			filter = append(filter, bpf.RetConstant{})
		}
	}
	if len(addresses) > filterRoom {
		return append(filter, bpf.RetConstant{Val: claimLength})
	}
	for _, address := range addresses {
		b := address.As16()
		filter = append(filter,
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: binary.BigEndian.Uint32(b[12:]), SkipFalse: 1},
			bpf.RetConstant{Val: claimLength})
	}
	return append(filter, bpf.RetConstant{})
}
