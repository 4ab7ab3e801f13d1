package rtnl

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// addressMessage is the body that adding and deleting share: struct ifaddrmsg
// and the address itself. The kernel wants the peer where there is one, and the
// address a second time where there is none.
func addressMessage(index int, a inet.Address, extra func(*netlink.AttributeEncoder)) ([]byte, error) {
	header := []byte{family(a.Addr()), byte(a.Bits()), 0, byte(a.Scope)}
	header = binary.NativeEndian.AppendUint32(header, uint32(index))
	return body(header, func(e *netlink.AttributeEncoder) {
		e.Bytes(unix.IFA_LOCAL, a.Addr().AsSlice())
		other := a.Addr()
		if a.Peer.IsValid() {
			other = a.Peer
		}
		e.Bytes(unix.IFA_ADDRESS, other.AsSlice())
		if extra != nil {
			extra(e)
		}
	})
}

// newAddress asks for an address, and for an error when it is there already,
// unless a flag says otherwise. The kernel finds the same address with another
// prefix length to be another address in IPv4, and the same one in IPv6.
func newAddress(index int, a inet.Address, flag netlink.HeaderFlags) request {
	if err := a.Check(); err != nil {
		return request{err: err}
	}
	message, err := addressMessage(index, a, func(e *netlink.AttributeEncoder) {
		if a.Broadcast.IsValid() {
			e.Bytes(unix.IFA_BROADCAST, a.Broadcast.AsSlice())
		}
		if a.Label != "" {
			e.String(unix.IFA_LABEL, a.Label)
		}
		if flags := addressFlags(a); flags != 0 {
			e.Uint32(unix.IFA_FLAGS, flags)
		}
		if a.Deprecated || a.PreferredFor > 0 {
			e.Bytes(unix.IFA_CACHEINFO, lifetimes(a))
		}
		// Kernels that do not know the attribute ignore it.
		e.Uint8(attributeAddressProtocol, uint8(inet.ProtocolHalo))
	})
	if flag == 0 {
		flag = netlink.Create | netlink.Excl
	}
	return request{kind: unix.RTM_NEWADDR, flags: flag, body: message, err: err}
}

func addressFlags(a inet.Address) uint32 {
	var flags uint32
	for flag, on := range map[uint32]bool{
		unix.IFA_F_NODAD:          a.Addr().Is6() && !a.DetectDuplicates,
		unix.IFA_F_NOPREFIXROUTE:  a.NoPrefixRoute,
		unix.IFA_F_HOMEADDRESS:    a.Home,
		unix.IFA_F_MANAGETEMPADDR: a.ManageTemporary,
		unix.IFA_F_MCAUTOJOIN:     a.AutoJoin,
	} {
		if on {
			flags |= flag
		}
	}
	return flags
}

// lifetimes is a struct ifa_cacheinfo: the preferred and the valid lifetime in
// seconds, and two times that only the kernel fills in.
func lifetimes(a inet.Address) []byte {
	preferred, valid := uint32(0), uint32(lifetimeForever)
	if !a.Deprecated {
		preferred = uint32(min(a.PreferredFor/time.Second, lifetimeLong))
		if a.Addr().Is4() {
			// A preferred lifetime of IPv4 does not run for an address that is
			// valid for ever.
			valid = lifetimeLong
		}
	}
	info := binary.NativeEndian.AppendUint32(make([]byte, 0, unix.SizeofIfaCacheinfo), preferred)
	info = binary.NativeEndian.AppendUint32(info, valid)
	return append(info, make([]byte, 8)...)
}

func delAddress(index int, a inet.Address) request {
	message, err := addressMessage(index, a, nil)
	return request{kind: unix.RTM_DELADDR, body: message, err: err}
}

// dumpAddresses reads the addresses of one link.
func (s *socket) dumpAddresses(link int) ([]inet.Address, error) {
	var addresses []inet.Address
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

// parseAddress reads an address message: struct ifaddrmsg and attributes.
func parseAddress(body []byte) (index int, a inet.Address, err error) {
	if len(body) < addressHeaderSize {
		return 0, inet.Address{}, fmt.Errorf("address message of %d bytes is too short", len(body))
	}
	bits, flags := int(body[1]), uint32(body[2])
	index = int(int32(uint32At(body, 4)))
	attributes, err := netlink.NewAttributeDecoder(body[addressHeaderSize:])
	if err != nil {
		return 0, inet.Address{}, fmt.Errorf("address message: %w", err)
	}
	var local, other netip.Addr
	lifetime := uint32(lifetimeForever)
	for attributes.Next() {
		switch attributes.Type() {
		case unix.IFA_LOCAL:
			local = address(attributes.Bytes())
		case unix.IFA_ADDRESS:
			other = address(attributes.Bytes())
		case unix.IFA_BROADCAST:
			a.Broadcast = address(attributes.Bytes())
		case unix.IFA_LABEL:
			a.Label = strings.Clone(attributes.String())
		case unix.IFA_FLAGS:
			flags = attributes.Uint32()
		case unix.IFA_CACHEINFO:
			if info := attributes.Bytes(); len(info) >= unix.SizeofIfaCacheinfo {
				lifetime = uint32At(info, 0)
			}
		case attributeAddressProtocol:
			a.Protocol = inet.Protocol(attributes.Uint8())
		}
	}
	if err := attributes.Err(); err != nil {
		return 0, inet.Address{}, fmt.Errorf("address message: %w", err)
	}
	// IFA_LOCAL is not sent for IPv6 unless there is a peer.
	if !local.IsValid() {
		local = other
	}
	if other != local {
		a.Peer = other
	}
	a.Prefix = netip.PrefixFrom(local, bits)
	if !a.IsValid() {
		return 0, inet.Address{}, fmt.Errorf("address message has no address of family %d", body[0])
	}
	a.Deprecated = flags&unix.IFA_F_DEPRECATED != 0 || lifetime == 0
	if lifetime != lifetimeForever {
		a.PreferredFor = time.Duration(lifetime) * time.Second
	}
	a.NoPrefixRoute = flags&unix.IFA_F_NOPREFIXROUTE != 0
	a.AutoJoin = flags&unix.IFA_F_MCAUTOJOIN != 0
	if local.Is4() {
		a.Scope = inet.Scope(body[3])
		a.Secondary = flags&unix.IFA_F_SECONDARY != 0
		return index, a, nil
	}
	// IFA_F_SECONDARY has another meaning in IPv6: a temporary address.
	a.DetectDuplicates = flags&unix.IFA_F_NODAD == 0
	a.Home = flags&unix.IFA_F_HOMEADDRESS != 0
	a.ManageTemporary = flags&unix.IFA_F_MANAGETEMPADDR != 0
	a.Tentative = flags&unix.IFA_F_TENTATIVE != 0 && flags&unix.IFA_F_OPTIMISTIC == 0
	a.Duplicate = flags&unix.IFA_F_DADFAILED != 0
	return index, a, nil
}
