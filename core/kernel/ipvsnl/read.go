package ipvsnl

import (
	"encoding/binary"
	"math/bits"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/ipvs"
)

// The commands and attributes of linux/ip_vs.h that reading needs.
const (
	commandGetService     = 4
	commandGetDestination = 8

	attributeService     = 1
	attributeDestination = 2

	serviceFamily    = 1
	serviceProtocol  = 2
	serviceAddress   = 3
	servicePort      = 4
	serviceMark      = 5
	serviceScheduler = 6
	serviceFlags     = 7
	serviceTimeout   = 8
	serviceNetmask   = 9

	destinationAddress        = 1
	destinationPort           = 2
	destinationForwarding     = 3
	destinationWeight         = 4
	destinationUpperThreshold = 5
	destinationLowerThreshold = 6
	destinationFamily         = 11
)

// reader asks for services and destinations. cloudflare/ipvs does that, too, but
// decodes every counter of every destination on the way, which takes sixty
// allocations for each.
type reader struct {
	socket *socket
	// schedulers are strings to give out for names that come again and again.
	schedulers []string
	// one is the buffer in which values of fixed size are put into requests.
	one [16]byte
}

func openReader() (*reader, error) {
	s, err := openSocket()
	if err != nil {
		return nil, err
	}
	return &reader{socket: s, schedulers: ipvs.Schedulers()}, nil
}

func (r *reader) close() error { return r.socket.close() }

// services returns all services in the kernel's order, without destinations.
func (r *reader) services() (ipvs.Table, error) {
	var t ipvs.Table
	r.socket.start(commandGetService, unix.NLM_F_DUMP)
	err := r.socket.ask(func(attributes []byte) error {
		s, err := r.decodeService(attributes)
		t = append(t, s)
		return err
	})
	return t, err
}

// service returns one service without its destinations.
func (r *reader) service(k ipvs.ServiceKey) (s ipvs.Service, err error) {
	r.socket.start(commandGetService, 0)
	r.key(k)
	err = r.socket.ask(func(attributes []byte) (err error) {
		s, err = r.decodeService(attributes)
		return err
	})
	return s, err
}

// destinations appends the destinations of a service, in the kernel's order.
func (r *reader) destinations(list []ipvs.Destination, k ipvs.ServiceKey) ([]ipvs.Destination, error) {
	r.socket.start(commandGetDestination, unix.NLM_F_DUMP)
	r.key(k)
	err := r.socket.ask(func(attributes []byte) error {
		return eachAttribute(attributes, func(kind uint16, value []byte) error {
			if kind != attributeDestination {
				return nil
			}
			// Kernels before 3.18 do not say the family: it was the service's.
			d, err := decodeDestination(value, k.Family())
			list = append(list, d)
			return err
		})
	})
	return list, err
}

// key appends a service's identity to the request.
func (r *reader) key(k ipvs.ServiceKey) {
	s := r.socket
	s.nest(attributeService, func() {
		family := uint16(unix.AF_INET)
		if k.Family() == ipvs.IPv6 {
			family = unix.AF_INET6
		}
		s.attribute(serviceFamily, binary.NativeEndian.AppendUint16(r.one[:0], family))
		if k.Mark != 0 {
			s.attribute(serviceMark, binary.NativeEndian.AppendUint32(r.one[:0], k.Mark))
			return
		}
		s.attribute(serviceProtocol, binary.NativeEndian.AppendUint16(r.one[:0], uint16(k.Protocol)))
		r.one = [16]byte{}
		copy(r.one[:], k.Address.Addr().AsSlice()) // IPv4 in the first four bytes.
		s.attribute(serviceAddress, r.one[:])
		s.attribute(servicePort, binary.BigEndian.AppendUint16(r.one[:0], k.Address.Port()))
	})
}

func (r *reader) decodeService(attributes []byte) (s ipvs.Service, err error) {
	err = eachAttribute(attributes, func(kind uint16, value []byte) (err error) {
		if kind == attributeService {
			s, err = r.serviceFrom(value)
		}
		return err
	})
	return s, err
}

// serviceFrom reads a service. Attributes come in any order, so those that depend
// on the family are looked at last.
func (r *reader) serviceFrom(b []byte) (ipvs.Service, error) {
	var (
		s                     ipvs.Service
		family, protocol      uint16
		port                  uint16
		mark, flags, timeout  uint32
		addressBytes, netmask []byte
		short                 bool
	)
	err := eachAttribute(b, func(kind uint16, value []byte) error {
		switch kind {
		case serviceFamily:
			family = read16(value, &short)
		case serviceProtocol:
			protocol = read16(value, &short)
		case serviceAddress:
			addressBytes = value
		case servicePort:
			port = readPort(value, &short)
		case serviceMark:
			mark = read32(value, &short)
		case serviceScheduler:
			s.Scheduler = r.intern(value)
		case serviceFlags:
			flags = read32(value, &short) // The mask that follows is of no interest.
		case serviceTimeout:
			timeout = read32(value, &short)
		case serviceNetmask:
			netmask = value
		}
		return nil
	})
	if err != nil || short {
		return s, errShort
	}
	if mark != 0 {
		s.Key = ipvs.MarkKey(mark, familyOf(family))
	} else {
		a, ok := readAddress(addressBytes, family)
		if !ok {
			return s, errShort
		}
		s.Key = ipvs.AddressKey(ipvs.Protocol(protocol), netip.AddrPortFrom(a, port))
	}
	s.Flags, s.Persistence.Timeout = fromFlags(flags, timeout)
	if s.Persistence.Timeout != 0 {
		s.Persistence.PrefixLength = prefixLength(netmask, family)
	}
	return s, nil
}

func decodeDestination(b []byte, f ipvs.Family) (ipvs.Destination, error) {
	var (
		d            ipvs.Destination
		port         uint16
		addressBytes []byte
		short        bool
	)
	family := uint16(unix.AF_INET)
	if f == ipvs.IPv6 {
		family = unix.AF_INET6
	}
	err := eachAttribute(b, func(kind uint16, value []byte) error {
		switch kind {
		case destinationAddress:
			addressBytes = value
		case destinationPort:
			port = readPort(value, &short)
		case destinationForwarding:
			d.Forwarding = ipvs.Forwarding(read32(value, &short))
		case destinationWeight:
			d.Weight = read32(value, &short)
		case destinationUpperThreshold:
			d.UpperThreshold = read32(value, &short)
		case destinationLowerThreshold:
			d.LowerThreshold = read32(value, &short)
		case destinationFamily:
			family = read16(value, &short)
		}
		return nil
	})
	a, ok := readAddress(addressBytes, family)
	if err != nil || short || !ok {
		return d, errShort
	}
	d.Address = netip.AddrPortFrom(a, port)
	return d, nil
}

// intern returns the name without its end, allocating only for names that the
// kernel should not have.
func (r *reader) intern(name []byte) string {
	if n := len(name); n > 0 && name[n-1] == 0 {
		name = name[:n-1]
	}
	for _, s := range r.schedulers {
		if s == string(name) {
			return s
		}
	}
	return string(name)
}

func familyOf(number uint16) ipvs.Family {
	if number == unix.AF_INET6 {
		return ipvs.IPv6
	}
	return ipvs.IPv4
}

// readAddress reads an address: the kernel sends room for the longer kind always.
func readAddress(b []byte, family uint16) (netip.Addr, bool) {
	switch {
	case family == unix.AF_INET6 && len(b) >= 16:
		return netip.AddrFrom16([16]byte(b)), true
	case family == unix.AF_INET && len(b) >= 4:
		return netip.AddrFrom4([4]byte(b)), true
	default:
		return netip.Addr{}, false
	}
}

// prefixLength reads what groups clients: a mask for IPv4, a length for IPv6. The
// whole address is 0, our zero value.
func prefixLength(b []byte, family uint16) uint8 {
	if len(b) < 4 {
		return 0
	}
	length, whole := binary.NativeEndian.Uint32(b), uint32(128)
	if family == unix.AF_INET {
		mask := binary.BigEndian.Uint32(b)
		length, whole = uint32(bits.LeadingZeros32(^mask)), 32
		if mask<<length != 0 {
			return noPrefix
		}
	}
	switch {
	case length == 0 || length > whole:
		return noPrefix
	case length == whole:
		return 0
	default:
		return uint8(length)
	}
}

func read16(b []byte, short *bool) uint16 {
	if len(b) < 2 {
		*short = true
		return 0
	}
	return binary.NativeEndian.Uint16(b)
}

func readPort(b []byte, short *bool) uint16 {
	if len(b) < 2 {
		*short = true
		return 0
	}
	return binary.BigEndian.Uint16(b)
}

func read32(b []byte, short *bool) uint32 {
	if len(b) < 4 {
		*short = true
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}
