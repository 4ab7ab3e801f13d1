package ipvsnl

import (
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/halo-ha/halo/core/ipvs"
)

// attributes writes attributes as the kernel does.
type attributes struct{ b []byte }

func (a *attributes) add(kind uint16, value []byte) {
	s := socket{request: a.b}
	s.attribute(kind, value)
	a.b = s.request
}

func (a *attributes) add16(kind, value uint16) {
	a.add(kind, binary.NativeEndian.AppendUint16(nil, value))
}

func (a *attributes) add32(kind uint16, value uint32) {
	a.add(kind, binary.NativeEndian.AppendUint32(nil, value))
}

// encodeService writes a service as ip_vs_genl_fill_service does.
func encodeService(s *ipvs.Service) []byte {
	wire := toService(s)
	var a attributes
	a.add16(serviceFamily, uint16(wire.Family))
	if s.Key.Mark != 0 {
		a.add32(serviceMark, s.Key.Mark)
	} else {
		a.add16(serviceProtocol, uint16(s.Key.Protocol))
		room := make([]byte, 16)
		copy(room, s.Key.Address.Addr().AsSlice())
		a.add(serviceAddress, room)
		a.add(servicePort, binary.BigEndian.AppendUint16(nil, s.Key.Address.Port()))
	}
	a.add(serviceScheduler, append([]byte(s.Scheduler), 0))
	a.add(13, []byte("an attribute of a later kernel"))
	a.add(serviceFlags, append(binary.NativeEndian.AppendUint32(nil, uint32(wire.Flags)|2), 0xff, 0xff, 0xff, 0xff))
	a.add32(serviceTimeout, wire.Timeout)
	if s.Key.Family() == ipvs.IPv6 {
		a.add32(serviceNetmask, uint32(wire.Netmask.Bits()))
	} else {
		a.add(serviceNetmask, wire.Netmask.AsSlice())
	}
	return a.b
}

func encodeDestination(d *ipvs.Destination) []byte {
	wire := toDestination(d)
	var a attributes
	room := make([]byte, 16)
	copy(room, d.Address.Addr().AsSlice())
	a.add(destinationAddress, room)
	a.add(destinationPort, binary.BigEndian.AppendUint16(nil, d.Address.Port()))
	a.add32(destinationForwarding, uint32(d.Forwarding))
	a.add32(destinationWeight, d.Weight)
	a.add32(destinationUpperThreshold, d.UpperThreshold)
	a.add32(destinationLowerThreshold, d.LowerThreshold)
	a.add16(destinationFamily, uint16(wire.Family))
	return a.b
}

func TestServiceRoundTrip(t *testing.T) {
	r := &reader{schedulers: ipvs.Schedulers()}
	rapid.Check(t, func(t *rapid.T) {
		s := drawService(t)
		var a attributes
		a.add(attributeService|unix.NLA_F_NESTED, encodeService(&s))
		got, err := r.decodeService(a.b)
		if err != nil || !got.Equal(&s) || got.Persistence != s.Persistence {
			t.Fatalf("%+v comes back as %+v, %v", s, got, err)
		}
	})
}

func TestDestinationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDestination(t)
		got, err := decodeDestination(encodeDestination(&d), ipvs.IPv4)
		if err != nil || got != d {
			t.Fatalf("%+v comes back as %+v, %v", d, got, err)
		}
	})
}

// A scheduler that is not in our list, and a destination of a kernel that does
// not tell the family.
func TestDecodeUnusual(t *testing.T) {
	s := ipvs.Service{Key: ipvs.MarkKey(1, ipvs.IPv6), Scheduler: "future"}
	r := &reader{schedulers: ipvs.Schedulers()}
	if got, err := r.serviceFrom(encodeService(&s)); err != nil || got.Scheduler != "future" {
		t.Errorf("got %+v, %v", got, err)
	}
	var a attributes
	a.add(destinationAddress, []byte{0x20, 1, 0xd, 0xb8, 15: 9})
	a.add(destinationPort, []byte{0, 80})
	if got, err := decodeDestination(a.b, ipvs.IPv6); err != nil || got.Address.String() != "[2001:db8::9]:80" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Masks that halo would never write must not look as if it had.
func TestPrefixLength(t *testing.T) {
	for _, tt := range []struct {
		mask   []byte
		family uint16
		want   uint8
	}{
		{[]byte{255, 255, 255, 255}, unix.AF_INET, 0},
		{[]byte{255, 255, 240, 0}, unix.AF_INET, 20},
		{[]byte{255, 0, 255, 0}, unix.AF_INET, noPrefix},
		{[]byte{0, 0, 0, 0}, unix.AF_INET, noPrefix},
		{binary.NativeEndian.AppendUint32(nil, 128), unix.AF_INET6, 0},
		{binary.NativeEndian.AppendUint32(nil, 64), unix.AF_INET6, 64},
		{binary.NativeEndian.AppendUint32(nil, 0), unix.AF_INET6, noPrefix},
		{binary.NativeEndian.AppendUint32(nil, 129), unix.AF_INET6, noPrefix},
		{nil, unix.AF_INET, 0},
	} {
		if got := prefixLength(tt.mask, tt.family); got != tt.want {
			t.Errorf("%v is %d, want %d", tt.mask, got, tt.want)
		}
	}
}

// datagram builds one netlink message.
func datagram(kind uint16, sequence uint32, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, 0)
	b = binary.NativeEndian.AppendUint32(b, sequence)
	b = append(binary.NativeEndian.AppendUint32(b, 0), body...)
	return append(b, make([]byte, align(len(b))-len(b))...)
}

func errno(e unix.Errno) []byte {
	return append(binary.NativeEndian.AppendUint32(nil, uint32(-int32(e))), make([]byte, 16)...)
}

func TestMessages(t *testing.T) {
	const ours = 0x1b
	body := []byte{4, 1, 0, 0, 'x'}
	join := func(parts ...[]byte) (b []byte) {
		for _, p := range parts {
			b = append(b, p...)
		}
		return b
	}
	for name, tt := range map[string]struct {
		in   []byte
		dump bool
		seen int
		done bool
		err  error
	}{
		"one answer":               {in: datagram(ours, 7, body), seen: 1, done: true},
		"dump goes on":             {in: join(datagram(ours, 7, body), datagram(ours, 7, body)), dump: true, seen: 2},
		"dump ends":                {in: join(datagram(ours, 7, body), datagram(unix.NLMSG_DONE, 7, errno(0))), dump: true, seen: 1, done: true},
		"dump ends with an error":  {in: datagram(unix.NLMSG_DONE, 7, errno(unix.EPERM)), dump: true, done: true, err: unix.EPERM},
		"error":                    {in: datagram(unix.NLMSG_ERROR, 7, errno(unix.ENOENT)), done: true, err: unix.ENOENT},
		"acknowledgement":          {in: datagram(unix.NLMSG_ERROR, 7, errno(0)), done: true},
		"of an earlier question":   {in: join(datagram(ours, 6, body), datagram(unix.NLMSG_ERROR, 6, errno(unix.EPERM))), dump: true},
		"header cut":               {in: datagram(ours, 7, body)[:15], done: true, err: errBroken},
		"body cut":                 {in: datagram(ours, 7, body)[:20], done: true, err: errBroken},
		"no generic header":        {in: datagram(ours, 7, []byte{1}), done: true, err: errBroken},
		"error without its number": {in: datagram(unix.NLMSG_ERROR, 7, []byte{1}), done: true, err: errBroken},
		"nothing":                  {dump: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := &socket{sequence: 7}
			seen := 0
			done, err := s.messages(tt.in, tt.dump, func([]byte) error { seen++; return nil })
			if seen != tt.seen || done != tt.done || !errors.Is(err, tt.err) {
				t.Errorf("saw %d, done %v, %v", seen, done, err)
			}
		})
	}
	s := &socket{sequence: 7}
	two := join(datagram(ours, 7, body), datagram(ours, 7, body), datagram(unix.NLMSG_DONE, 7, errno(0)))
	seen := 0
	done, err := s.messages(two, true, func([]byte) error { seen++; return errShort })
	if !done || seen != 1 || !errors.Is(err, errShort) {
		t.Errorf("a reader that fails: saw %d, done %v, %v", seen, done, err)
	}
}

// FuzzMessages feeds whatever to everything that reads what the kernel sends.
func FuzzMessages(f *testing.F) {
	s := ipvs.Service{Key: ipvs.MarkKey(1, ipvs.IPv4), Scheduler: "rr"}
	d := ipvs.Destination{Weight: 1}
	var a attributes
	a.add(attributeService, encodeService(&s))
	a.add(attributeDestination, encodeDestination(&d))
	f.Add(datagram(0x1b, 1, append([]byte{4, 1, 0, 0}, a.b...)))
	f.Add(datagram(unix.NLMSG_DONE, 1, errno(unix.EPERM)))
	f.Add([]byte{})
	r := &reader{schedulers: ipvs.Schedulers()}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &socket{sequence: 1}
		_, _ = s.messages(b, true, func(attributes []byte) error {
			service, err := r.decodeService(attributes)
			if err == nil && service.Key.Mark == 0 && service.Key.Address.IsValid() && service.Key.Address.Addr().Zone() != "" {
				t.Errorf("read %+v", service)
			}
			return eachAttribute(attributes, func(_ uint16, value []byte) error {
				_, err := decodeDestination(value, ipvs.IPv4)
				return err
			})
		})
	})
}
