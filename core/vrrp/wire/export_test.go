package wire

import "net/netip"

// MACOf is the MAC of a message and the head of its trailer, for those vectors
// that Append refuses to send and Check drops before it.
func MACOf(k Key, source netip.Addr, message, head []byte) []byte {
	mac := k.mac(source, message, head)
	return mac[:]
}
