package rawsock

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

// NAFrameSize is the length of an unsolicited neighbor advertisement in an
// Ethernet frame: 14 bytes of header, 40 of IPv6 header, 24 of message and 8 of
// option.
const NAFrameSize = etherHeaderLength + ipv6HeaderLength + naLength + linkOptionLength

// Lengths and places in frames, in bytes.
const (
	etherTypeOffset   = 12
	etherHeaderLength = 14
	ipv6HeaderLength  = 40
	naLength          = 24
	linkOptionLength  = 8
)

const (
	// neighborAdvertisement is the message's ICMPv6 type (RFC 4861 §4.4).
	neighborAdvertisement = 136
	// The bits of its flags that are used here. The one between them says that
	// somebody asked.
	naRouter, naOverride = 1 << 7, 1 << 5
	// targetLinkOption is the Target Link-Layer Address (RFC 4861 §4.6.1).
	targetLinkOption = 2
	// neighborHopLimit shows that no router forwarded it (RFC 4861 §7.1.2).
	neighborHopLimit = 255
)

// AppendUnsolicitedNA appends the frame that announces an IPv6 address at a
// hardware address to all nodes of the link (RFC 4861 §7.2.6). It overrides what
// they have. The router flag says that the sender forwards packets, as RFC 9568
// §6.4.2 has it of virtual routers. The packet comes from the address itself,
// which is assigned to the link by then.
func AppendUnsolicitedNA(b []byte, mac [6]byte, address [16]byte, router bool) []byte {
	allNodes := [16]byte{0: 0xff, 1: 0x02, 15: 0x01}
	// RFC 2464 §7: where multicast of IPv6 goes on Ethernet.
	b = append(b, 0x33, 0x33, allNodes[12], allNodes[13], allNodes[14], allNodes[15])
	b = append(b, mac[:]...)
	b = binary.BigEndian.AppendUint16(b, unix.ETH_P_IPV6)
	b = append(b, 6<<4, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, naLength+linkOptionLength)
	b = append(b, unix.IPPROTO_ICMPV6, neighborHopLimit)
	b = append(b, address[:]...)
	b = append(b, allNodes[:]...)

	message := len(b)
	flags := byte(naOverride)
	if router {
		flags |= naRouter
	}
	b = append(b, neighborAdvertisement, 0, 0, 0, flags, 0, 0, 0)
	b = append(b, address[:]...)
	b = append(b, targetLinkOption, linkOptionLength/8)
	b = append(b, mac[:]...)
	binary.BigEndian.PutUint16(b[message+2:], checksumICMPv6(address, allNodes, b[message:]))
	return b
}

// checksumICMPv6 is the one's complement of the sum of the pseudo-header and the
// message, whose length is even here (RFC 4443 §2.3, RFC 8200 §8.1).
func checksumICMPv6(source, destination [16]byte, message []byte) uint16 {
	total := uint32(len(message)) + unix.IPPROTO_ICMPV6
	for _, part := range [][]byte{source[:], destination[:], message} {
		for ; len(part) >= 2; part = part[2:] {
			total += uint32(binary.BigEndian.Uint16(part))
		}
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return ^uint16(total)
}

// appendAdvertised refuses what cannot be announced that way.
func appendAdvertised(b []byte, mac [6]byte, address netip.Addr, router bool) ([]byte, error) {
	if !wire.IPv6.Has(address) {
		return nil, fmt.Errorf("%s is not an IPv6 address", address)
	}
	return AppendUnsolicitedNA(b, mac, address.As16(), router), nil
}

// NA sends unsolicited neighbor advertisements on one link, which it finds by
// name each time, so that a link deleted and made again needs no new NA. It
// receives nothing. Calls are served one after the other.
type NA struct{ sender *frameSender }

// OpenNA opens a sender in the calling thread's network namespace. The link need
// not exist yet.
func OpenNA(link string) (*NA, error) {
	s, err := openSender(link)
	if err != nil {
		return nil, err
	}
	return &NA{s}, nil
}

// Close releases the socket.
func (n *NA) Close() error { return n.sender.Close() }

// Announce sends one frame for each IPv6 address, with the link's present
// hardware address. Links without neighbor discovery, such as the loopback, have
// nobody to tell, which is no error. A missing link is an error that wraps
// ENODEV, one that is down wraps ENETDOWN.
func (n *NA) Announce(addresses []netip.Addr, router bool) error {
	return n.sender.announce(addresses, func(b []byte, mac [6]byte, address netip.Addr) ([]byte, error) {
		return appendAdvertised(b, mac, address, router)
	})
}
