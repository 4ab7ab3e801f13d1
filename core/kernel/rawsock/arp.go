package rawsock

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// ARPFrameSize is the length of an ARP packet for IPv4 in an Ethernet frame:
// 14 bytes of header and 28 of payload.
const ARPFrameSize = 14 + 28

// AppendGratuitousARP appends the frame that announces an IPv4 address at a
// hardware address: a broadcast request in which sender and target protocol
// address are the announced one (RFC 9568 §8.1.2, RFC 5227 §3). The target
// hardware address, which a request leaves open, is the broadcast address, as
// some switches and hosts only learn from such a frame.
func AppendGratuitousARP(b []byte, mac [6]byte, address [4]byte) []byte {
	broadcast := [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	b = append(b, broadcast[:]...)
	b = append(b, mac[:]...)
	b = binary.BigEndian.AppendUint16(b, unix.ETH_P_ARP)
	b = binary.BigEndian.AppendUint16(b, unix.ARPHRD_ETHER)
	b = binary.BigEndian.AppendUint16(b, unix.ETH_P_IP)
	b = append(b, 6, 4) // Lengths of the two kinds of addresses.
	b = binary.BigEndian.AppendUint16(b, arpRequest)
	b = append(b, mac[:]...)
	b = append(b, address[:]...)
	b = append(b, make([]byte, len(mac))...)
	return append(b, address[:]...)
}

// What an ARP packet may be: ARPOP_REQUEST and ARPOP_REPLY.
const (
	arpRequest = 1
	arpReply   = 2
)

// ARP sends gratuitous ARP on one link, which it finds by name each time, so
// that a link deleted and made again needs no new ARP. It receives nothing.
// Calls are served one after the other.
type ARP struct{ sender *frameSender }

// OpenARP opens a sender in the calling thread's network namespace. The link
// need not exist yet.
func OpenARP(link string) (*ARP, error) {
	s, err := openSender(link)
	if err != nil {
		return nil, err
	}
	return &ARP{s}, nil
}

// Close releases the socket.
func (a *ARP) Close() error { return a.sender.Close() }

// Announce sends one frame for each IPv4 address, with the link's present
// hardware address. Links without ARP, such as the loopback, have nobody to
// tell, which is no error. A missing link is an error that wraps ENODEV, one
// that is down wraps ENETDOWN.
func (a *ARP) Announce(addresses []netip.Addr) error {
	return a.sender.announce(addresses, func(b []byte, mac [6]byte, address netip.Addr) ([]byte, error) {
		if !address.Is4() {
			return nil, fmt.Errorf("%s is not an IPv4 address", address)
		}
		return AppendGratuitousARP(b, mac, address.As4()), nil
	})
}
