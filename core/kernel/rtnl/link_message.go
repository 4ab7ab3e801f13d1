package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// linkHeader is a struct ifinfomsg that names one link, or all with index 0.
func linkHeader(index int) []byte {
	header := make([]byte, linkHeaderSize)
	binary.NativeEndian.PutUint32(header[4:], uint32(index))
	return header
}

// newMacvlan asks for a link of that kind, down.
func newMacvlan(parent int, m inet.Macvlan) request {
	mac, err := net.ParseMAC(m.MAC)
	switch {
	case err != nil:
		return request{err: err}
	case m.Name == "" || len(m.Name) >= unix.IFNAMSIZ:
		return request{err: fmt.Errorf("a link cannot be called %q", m.Name)}
	}
	mode := uint32(macvlanPrivate)
	if m.Mode == inet.MacvlanBridge {
		mode = macvlanBridge
	}
	message, err := body(linkHeader(0), func(a *netlink.AttributeEncoder) {
		a.String(unix.IFLA_IFNAME, m.Name)
		a.Uint32(unix.IFLA_LINK, uint32(parent))
		a.Bytes(unix.IFLA_ADDRESS, mac)
		nested(a, unix.IFLA_LINKINFO, func(info *netlink.AttributeEncoder) {
			info.String(unix.IFLA_INFO_KIND, "macvlan")
			nested(info, unix.IFLA_INFO_DATA, func(data *netlink.AttributeEncoder) {
				data.Uint32(unix.IFLA_MACVLAN_MODE, mode)
			})
		})
	})
	return request{kind: unix.RTM_NEWLINK, flags: netlink.Create | netlink.Excl, body: message, err: err}
}

// noIPv6Addresses keeps the kernel from making IPv6 addresses for a link that
// is still down.
func noIPv6Addresses(name string) request {
	message, err := body(linkHeader(0), func(a *netlink.AttributeEncoder) {
		a.String(unix.IFLA_IFNAME, name)
		nested(a, unix.IFLA_AF_SPEC, func(families *netlink.AttributeEncoder) {
			nested(families, unix.AF_INET6, func(inet6 *netlink.AttributeEncoder) {
				inet6.Uint8(unix.IFLA_INET6_ADDR_GEN_MODE, addressModeNone)
			})
		})
	})
	return request{kind: unix.RTM_SETLINK, body: message, err: err}
}

// aliasByName remarks on a link.
func aliasByName(name, alias string) request {
	message, err := body(linkHeader(0), func(a *netlink.AttributeEncoder) {
		a.String(unix.IFLA_IFNAME, name)
		a.String(unix.IFLA_IFALIAS, alias)
	})
	return request{kind: unix.RTM_SETLINK, body: message, err: err}
}

// setLink changes what is set.
func setLink(index int, change LinkChange) request {
	header := linkHeader(index)
	if change.Up.Set {
		if change.Up.Value {
			binary.NativeEndian.PutUint32(header[8:], unix.IFF_UP)
		}
		binary.NativeEndian.PutUint32(header[12:], unix.IFF_UP) // which flags to change
	}
	var mac net.HardwareAddr
	if change.MAC.Set {
		var err error
		if mac, err = net.ParseMAC(change.MAC.Value); err != nil {
			return request{err: err}
		}
	}
	message, err := body(header, func(a *netlink.AttributeEncoder) {
		if mac != nil {
			a.Bytes(unix.IFLA_ADDRESS, mac)
		}
		if change.Alias.Set {
			a.String(unix.IFLA_IFALIAS, change.Alias.Value)
		}
		if change.MTU.Set {
			a.Uint32(unix.IFLA_MTU, change.MTU.Value)
		}
		if change.Group.Set {
			a.Uint32(unix.IFLA_GROUP, change.Group.Value)
		}
		if change.Master.Set {
			a.Uint32(unix.IFLA_MASTER, uint32(change.Master.Value))
		}
		if len(change.IPv4) > 0 {
			nested(a, unix.IFLA_AF_SPEC, func(families *netlink.AttributeEncoder) {
				nested(families, unix.AF_INET, func(inet *netlink.AttributeEncoder) {
					nested(inet, attributeInetConf, func(conf *netlink.AttributeEncoder) {
						for setting, value := range change.IPv4 {
							conf.Uint32(uint16(setting), value)
						}
					})
				})
			})
		}
	})
	return request{kind: unix.RTM_SETLINK, body: message, err: err}
}

// promoteSecondaries sets the sysctl of that name for one link.
func promoteSecondaries(index int) request {
	return setLink(index, LinkChange{IPv4: map[IPv4Setting]uint32{PromoteSecondaries: 1}})
}

// askLink asks for one link and calls each for the answer.
func (s *socket) askLink(index int, each func([]byte) error) error {
	message, err := body(linkHeader(index), func(a *netlink.AttributeEncoder) {
		// The statistics are most of the answer and not wanted.
		a.Uint32(unix.IFLA_EXT_MASK, filterSkipStats)
	})
	if err != nil {
		return err
	}
	if err := s.send(s.append(nil, request{kind: unix.RTM_GETLINK, flags: netlink.Request, body: message})); err != nil {
		return err
	}
	for seq, answered := s.seq, false; !answered; {
		err := s.receive(func(h netlink.Header, body []byte) error {
			if h.Sequence != seq {
				return nil
			}
			answered = true
			if h.Type == netlink.Error {
				return answer(h, body)
			}
			return each(body)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// linkIndex finds a link by name. A netlink socket takes the request of other
// sockets for it, which does not queue behind those who change links and addresses.
func (s *socket) linkIndex(name string) (index int, err error) {
	fail := func(err error) (int, error) { return 0, fmt.Errorf("interface %q: %w", name, err) }
	request, err := unix.NewIfreq(name)
	if err != nil || name == "" {
		return fail(unix.ENODEV) // A name too long is no link's.
	}
	controlErr := s.raw.Control(func(fd uintptr) { err = unix.IoctlIfreq(int(fd), unix.SIOCGIFINDEX, request) })
	if err := errors.Join(controlErr, err); err != nil {
		return fail(err)
	}
	return int(request.Uint32()), nil
}

// ipv4Settings reads a link's settings, an array of numbers in the order of
// their names' numbers, from 1.
func (s *socket) ipv4Settings(index int) (map[IPv4Setting]uint32, error) {
	settings := make(map[IPv4Setting]uint32)
	err := s.askLink(index, func(body []byte) error {
		if len(body) < linkHeaderSize {
			return fmt.Errorf("link message of %d bytes is too short", len(body))
		}
		attributes, err := netlink.NewAttributeDecoder(body[linkHeaderSize:])
		if err != nil {
			return fmt.Errorf("link message: %w", err)
		}
		inside(attributes, unix.IFLA_AF_SPEC, func(families *netlink.AttributeDecoder) {
			inside(families, unix.AF_INET, func(inet *netlink.AttributeDecoder) {
				for inet.Next() {
					if inet.Type() != attributeInetConf {
						continue
					}
					for i, values := 1, inet.Bytes(); len(values) >= 4; i, values = i+1, values[4:] {
						settings[IPv4Setting(i)] = uint32At(values, 0)
					}
				}
			})
		})
		return attributes.Err()
	})
	return settings, err
}

// inside calls f with the attributes inside one kind of attribute.
func inside(attributes *netlink.AttributeDecoder, kind uint16, f func(*netlink.AttributeDecoder)) {
	for attributes.Next() {
		if attributes.Type() == kind {
			attributes.Nested(func(inner *netlink.AttributeDecoder) error {
				f(inner)
				return nil
			})
		}
	}
}

// dumpLinks reads all links with all their addresses.
func (s *socket) dumpLinks() ([]Link, error) {
	links, err := s.dumpBareLinks()
	if err != nil {
		return nil, err
	}
	byIndex := make(map[int]int, len(links))
	for i, l := range links {
		byIndex[l.Index] = i
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

// dumpBareLinks reads all links without their addresses.
func (s *socket) dumpBareLinks() ([]Link, error) {
	message, err := body(linkHeader(0), func(a *netlink.AttributeEncoder) {
		a.Uint32(unix.IFLA_EXT_MASK, filterSkipStats)
	})
	var links []Link
	err = s.dump(request{kind: unix.RTM_GETLINK, body: message, err: err},
		func(kind netlink.HeaderType, body []byte) error {
			if kind != unix.RTM_NEWLINK {
				return nil
			}
			link, err := parseLink(body)
			links = append(links, link)
			return err
		})
	return links, err
}

// parseLink reads a link message: struct ifinfomsg and attributes.
func parseLink(body []byte) (Link, error) {
	if len(body) < linkHeaderSize {
		return Link{}, fmt.Errorf("link message of %d bytes is too short", len(body))
	}
	flags := uint32At(body, 8)
	link := Link{
		Index:   int(int32(uint32At(body, 4))),
		Up:      flags&unix.IFF_UP != 0 && flags&unix.IFF_RUNNING != 0,
		AdminUp: flags&unix.IFF_UP != 0,
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
		case unix.IFLA_LINK:
			link.Parent = int(int32(attributes.Uint32()))
		case unix.IFLA_MASTER:
			link.Master = int(int32(attributes.Uint32()))
		case unix.IFLA_MTU:
			link.MTU = attributes.Uint32()
		case unix.IFLA_GROUP:
			link.Group = attributes.Uint32()
		case unix.IFLA_IFALIAS:
			link.Alias = strings.Clone(attributes.String())
		case unix.IFLA_LINKINFO:
			attributes.Nested(link.parseInfo)
		}
	}
	if err := attributes.Err(); err != nil {
		return Link{}, fmt.Errorf("link message: %w", err)
	}
	return link, nil
}

// parseInfo reads what is special to a kind of link. The kind comes first.
func (l *Link) parseInfo(info *netlink.AttributeDecoder) error {
	for info.Next() {
		switch {
		case info.Type() == unix.IFLA_INFO_KIND:
			l.Kind = strings.Clone(info.String())
		case info.Type() == unix.IFLA_INFO_DATA && l.Kind == "vrf":
			info.Nested(func(data *netlink.AttributeDecoder) error {
				for data.Next() {
					if data.Type() == unix.IFLA_VRF_TABLE {
						l.VRFTable = data.Uint32()
					}
				}
				return nil
			})
		case info.Type() == unix.IFLA_INFO_DATA && l.Kind == "macvlan":
			info.Nested(func(data *netlink.AttributeDecoder) error {
				for data.Next() {
					if data.Type() != unix.IFLA_MACVLAN_MODE {
						continue
					}
					switch data.Uint32() {
					case macvlanPrivate:
						l.Mode, l.KnownMode = inet.MacvlanPrivate, true
					case macvlanBridge:
						l.Mode, l.KnownMode = inet.MacvlanBridge, true
					}
				}
				return nil
			})
		}
	}
	return nil
}
