package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// What x/sys/unix lacks of linux/if_addr.h, linux/ip.h, linux/if_link.h and
// linux/rtnetlink.h.
const (
	attributeAddressProtocol = 11 // IFA_PROTO, since Linux 5.18
	devconfPromote           = 20 // IPV4_DEVCONF_PROMOTE_SECONDARIES
	attributeInetConf        = 1  // IFLA_INET_CONF
	filterSkipStats          = 8  // RTEXT_FILTER_SKIP_STATS
)

// Sizes of the fixed parts of link and address messages.
const (
	linkHeaderSize    = unix.SizeofIfInfomsg
	addressHeaderSize = unix.SizeofIfAddrmsg
)

// addressMessage is the body that adding and deleting share: struct ifaddrmsg
// and the address itself. Broadcast and peer are left out, so the kernel sets
// none.
func addressMessage(index int, p netip.Prefix, extra func(*netlink.AttributeEncoder)) ([]byte, error) {
	family, ip := byte(unix.AF_INET), p.Addr()
	if ip.Is6() {
		family = unix.AF_INET6
	}
	if !p.IsValid() {
		return nil, errors.New("address is not valid")
	}
	body := []byte{family, byte(p.Bits()), 0, unix.RT_SCOPE_UNIVERSE}
	body = binary.NativeEndian.AppendUint32(body, uint32(index))
	attributes := netlink.NewAttributeEncoder()
	attributes.Bytes(unix.IFA_LOCAL, ip.AsSlice())
	attributes.Bytes(unix.IFA_ADDRESS, ip.AsSlice())
	if extra != nil {
		extra(attributes)
	}
	encoded, err := attributes.Encode()
	return append(body, encoded...), err
}

// newAddress asks for an address, and for an error when it is there already.
// The kernel finds the same address with another prefix length to be another
// address in IPv4, and the same one in IPv6.
func newAddress(index int, p netip.Prefix) request {
	body, err := addressMessage(index, p, func(a *netlink.AttributeEncoder) {
		if p.Addr().Is6() {
			a.Uint32(unix.IFA_FLAGS, unix.IFA_F_NODAD)
		}
		// Kernels that do not know the attribute ignore it.
		a.Uint8(attributeAddressProtocol, ProtocolHalo)
	})
	return request{kind: unix.RTM_NEWADDR, flags: netlink.Create | netlink.Excl, body: body, err: err}
}

func delAddress(index int, p netip.Prefix) request {
	body, err := addressMessage(index, p, nil)
	return request{kind: unix.RTM_DELADDR, body: body, err: err}
}

// promoteSecondaries sets the sysctl of that name for one link, which works in
// any namespace and with a read-only /proc.
func promoteSecondaries(index int) request {
	attributes := netlink.NewAttributeEncoder()
	attributes.Nested(unix.IFLA_AF_SPEC, func(families *netlink.AttributeEncoder) error {
		families.Nested(unix.AF_INET, func(inet *netlink.AttributeEncoder) error {
			inet.Nested(attributeInetConf, func(conf *netlink.AttributeEncoder) error {
				conf.Uint32(devconfPromote, 1)
				return nil
			})
			return nil
		})
		return nil
	})
	encoded, err := attributes.Encode()
	return request{kind: unix.RTM_SETLINK, body: append(linkHeader(index), encoded...), err: err}
}

// linkHeader is a struct ifinfomsg that names one link, or all with index 0.
func linkHeader(index int) []byte {
	body := make([]byte, linkHeaderSize)
	binary.NativeEndian.PutUint32(body[4:], uint32(index))
	return body
}

// linkIndex finds a link by name.
func (s *socket) linkIndex(name string) (int, error) {
	// A longer name is no link's, and the kernel would call it out of range.
	if name == "" || len(name) >= unix.IFNAMSIZ {
		return 0, fmt.Errorf("interface %q: %w", name, unix.ENODEV)
	}
	attributes := netlink.NewAttributeEncoder()
	attributes.String(unix.IFLA_IFNAME, name)
	// The statistics are most of the answer and not wanted.
	attributes.Uint32(unix.IFLA_EXT_MASK, filterSkipStats)
	encoded, err := attributes.Encode()
	if err != nil {
		return 0, err
	}
	if err := s.send(s.append(nil, request{
		kind: unix.RTM_GETLINK, flags: netlink.Request, body: append(linkHeader(0), encoded...),
	})); err != nil {
		return 0, err
	}
	seq, index := s.seq, 0
	for index == 0 {
		err := s.receive(func(h netlink.Header, body []byte) error {
			switch {
			case h.Sequence != seq:
				return nil
			case h.Type == netlink.Error:
				return answer(h, body)
			}
			link, err := parseLink(body)
			index = link.Index
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return index, nil
}

// dumpLinks reads all links with all their addresses.
func (s *socket) dumpLinks() ([]Link, error) {
	var links []Link
	byIndex := make(map[int]int)
	attributes := netlink.NewAttributeEncoder()
	attributes.Uint32(unix.IFLA_EXT_MASK, filterSkipStats)
	mask, err := attributes.Encode()
	if err != nil {
		return nil, err
	}
	err = s.dump(request{kind: unix.RTM_GETLINK, body: append(linkHeader(0), mask...)},
		func(kind netlink.HeaderType, body []byte) error {
			if kind != unix.RTM_NEWLINK {
				return nil
			}
			link, err := parseLink(body)
			byIndex[link.Index] = len(links)
			links = append(links, link)
			return err
		})
	if err != nil {
		return nil, err
	}
	err = s.dump(request{kind: unix.RTM_GETADDR, body: make([]byte, addressHeaderSize)},
		func(kind netlink.HeaderType, body []byte) error {
			if kind != unix.RTM_NEWADDR {
				return nil
			}
			index, a, err := parseAddress(body)
			// An address of a link made since the links were read is left
			// out: it will be told by notification.
			if i, ok := byIndex[index]; ok && err == nil {
				links[i].Addresses = append(links[i].Addresses, a)
			}
			return err
		})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(links, func(a, b Link) int { return a.Index - b.Index })
	return links, nil
}

// dumpAddresses reads the addresses of one link.
func (s *socket) dumpAddresses(link int) ([]Address, error) {
	var addresses []Address
	header := make([]byte, addressHeaderSize)
	binary.NativeEndian.PutUint32(header[4:], uint32(link))
	err := s.dump(request{kind: unix.RTM_GETADDR, body: header},
		func(kind netlink.HeaderType, body []byte) error {
			if kind != unix.RTM_NEWADDR {
				return nil
			}
			index, a, err := parseAddress(body)
			// Kernels without strict checking send all links' addresses.
			if index == link && err == nil {
				addresses = append(addresses, a)
			}
			return err
		})
	return addresses, err
}

// parseLink reads a link message: struct ifinfomsg and attributes.
func parseLink(body []byte) (Link, error) {
	if len(body) < linkHeaderSize {
		return Link{}, fmt.Errorf("link message of %d bytes is too short", len(body))
	}
	flags := binary.NativeEndian.Uint32(body[8:])
	link := Link{
		Index: int(int32(binary.NativeEndian.Uint32(body[4:]))),
		Up:    flags&unix.IFF_UP != 0 && flags&unix.IFF_RUNNING != 0,
	}
	attributes, err := netlink.NewAttributeDecoder(body[linkHeaderSize:])
	if err != nil {
		return Link{}, fmt.Errorf("link message: %w", err)
	}
	for attributes.Next() {
		switch attributes.Type() {
		case unix.IFLA_IFNAME:
			link.Name = strings.Clone(attributes.String())
		case unix.IFLA_ADDRESS:
			link.MAC = net.HardwareAddr(attributes.Bytes()).String()
		}
	}
	if err := attributes.Err(); err != nil {
		return Link{}, fmt.Errorf("link message: %w", err)
	}
	return link, nil
}

// parseAddress reads an address message: struct ifaddrmsg and attributes.
func parseAddress(body []byte) (index int, a Address, err error) {
	if len(body) < addressHeaderSize {
		return 0, Address{}, fmt.Errorf("address message of %d bytes is too short", len(body))
	}
	bits, flags := int(body[1]), uint32(body[2])
	index = int(int32(binary.NativeEndian.Uint32(body[4:])))
	attributes, err := netlink.NewAttributeDecoder(body[addressHeaderSize:])
	if err != nil {
		return 0, Address{}, fmt.Errorf("address message: %w", err)
	}
	var local, address netip.Addr
	for attributes.Next() {
		switch attributes.Type() {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(attributes.Bytes())
		case unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(attributes.Bytes())
		case unix.IFA_FLAGS:
			flags = attributes.Uint32()
		case attributeAddressProtocol:
			a.Protocol = attributes.Uint8()
		}
	}
	if err := attributes.Err(); err != nil {
		return 0, Address{}, fmt.Errorf("address message: %w", err)
	}
	// IFA_ADDRESS is the peer's on a point-to-point link, and IFA_LOCAL is
	// not sent for IPv6 otherwise.
	if !local.IsValid() {
		local = address
	}
	a.Prefix = netip.PrefixFrom(local, bits)
	if !a.IsValid() {
		return 0, Address{}, fmt.Errorf("address message has no address of family %d", body[0])
	}
	// IFA_F_SECONDARY has another meaning in IPv6: a temporary address.
	a.Secondary = local.Is4() && flags&unix.IFA_F_SECONDARY != 0
	return index, a, nil
}
