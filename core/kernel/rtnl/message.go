package rtnl

import (
	"encoding/binary"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// What x/sys/unix lacks of linux/if_addr.h, linux/ip.h, linux/if_link.h,
// linux/rtnetlink.h and net/if_inet6.h.
const (
	attributeAddressProtocol = 11         // IFA_PROTO, since Linux 5.18
	attributeInetConf        = 1          // IFLA_INET_CONF
	filterSkipStats          = 8          // RTEXT_FILTER_SKIP_STATS
	addressModeNone          = 1          // IN6_ADDR_GEN_MODE_NONE
	macvlanPrivate           = 1          // MACVLAN_MODE_PRIVATE
	macvlanBridge            = 4          // MACVLAN_MODE_BRIDGE
	lifetimeForever          = 0xffffffff // INFINITY_LIFE_TIME
	lifetimeLong             = 0x7ffffffe // 68 years, the longest that ends
)

// Sizes of the fixed parts of messages.
const (
	linkHeaderSize    = unix.SizeofIfInfomsg
	addressHeaderSize = unix.SizeofIfAddrmsg
	routeHeaderSize   = unix.SizeofRtMsg
	ruleHeaderSize    = 12 // struct fib_rule_hdr
)

// body is a message's fixed part followed by its attributes.
func body(header []byte, attributes func(*netlink.AttributeEncoder)) ([]byte, error) {
	encoder := netlink.NewAttributeEncoder()
	attributes(encoder)
	encoded, err := encoder.Encode()
	return append(header, encoded...), err
}

// nested appends an attribute that consists of attributes.
func nested(a *netlink.AttributeEncoder, kind uint16, attributes func(*netlink.AttributeEncoder)) {
	a.Nested(kind, func(inner *netlink.AttributeEncoder) error {
		attributes(inner)
		return nil
	})
}

// family is the kernel's number of an address's family.
func family(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// address reads an address attribute; what is no address is not valid.
func address(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}

// uint32At reads a number of a message's fixed part.
func uint32At(b []byte, at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
