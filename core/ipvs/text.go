package ipvs

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// String returns the table as text: one line per service and per destination,
// in the form in which "ipvsadm -S -n" saves its table. Equal tables give equal
// text.
func (t Table) String() string {
	var b []byte
	for i := range t {
		b = t[i].AppendText(b)
	}
	return string(b)
}

// AppendText appends the lines of the service and of its destinations.
func (s *Service) AppendText(b []byte) []byte {
	b = append(s.appendLine(b, "-A"), '\n')
	for i := range s.Destinations {
		b = append(s.Destinations[i].appendLine(b, "-a", s.Key), '\n')
	}
	return b
}

// Attributes returns what can be edited, as text: "-s wrr -p 50".
func (s *Service) Attributes() string {
	return string(s.appendAttributes(nil))
}

func (s *Service) appendLine(b []byte, command string) []byte {
	b = append(append(b, command...), ' ')
	b = append(s.Key.appendFlag(b), ' ')
	return s.appendAttributes(b)
}

func (s *Service) appendAttributes(b []byte) []byte {
	b = append(append(b, "-s "...), s.Scheduler...)
	if s.Persistence.Timeout != 0 {
		b = strconv.AppendUint(append(b, " -p "...), uint64(s.Persistence.Timeout), 10)
		b = s.appendPrefix(b)
	}
	if s.Flags&OnePacket != 0 {
		b = append(b, " -o"...)
	}
	separator := " -b "
	for i, name := range s.flagNames() {
		if s.Flags&(SchedulerFlag1<<i) != 0 {
			b = append(append(b, separator...), name...)
			separator = ","
		}
	}
	return b
}

// flagNames are ipvsadm's names of the three scheduler flags.
func (s *Service) flagNames() [3]string {
	switch s.Scheduler {
	case "sh":
		return [...]string{"sh-fallback", "sh-port", "flag-3"}
	case "mh":
		return [...]string{"mh-fallback", "mh-port", "flag-3"}
	default:
		return [...]string{"flag-1", "flag-2", "flag-3"}
	}
}

// appendPrefix appends how clients are grouped, unless that is by the whole
// address. ipvsadm writes IPv4 as a mask and IPv6 as a length.
func (s *Service) appendPrefix(b []byte) []byte {
	bits := s.ClientPrefix()
	if s.Key.Family() == IPv6 {
		if bits == 128 {
			return b
		}
		return strconv.AppendUint(append(b, " -M "...), uint64(bits), 10)
	}
	if bits >= 32 {
		return b
	}
	m := ^uint32(0) << (32 - bits)
	mask := netip.AddrFrom4([4]byte{byte(m >> 24), byte(m >> 16), byte(m >> 8), byte(m)})
	return mask.AppendTo(append(b, " -M "...))
}

// Attributes returns what can be edited, as text: "-g -w 3".
func (d *Destination) Attributes() string {
	return string(d.appendAttributes(nil))
}

func (d *Destination) appendLine(b []byte, command string, k ServiceKey) []byte {
	b = append(append(b, command...), ' ')
	b = append(k.appendFlag(b), " -r "...)
	b = append(d.Address.AppendTo(b), ' ')
	return d.appendAttributes(b)
}

func (d *Destination) appendAttributes(b []byte) []byte {
	switch d.Forwarding {
	case Masquerade:
		b = append(b, "-m"...)
	case DirectRoute:
		b = append(b, "-g"...)
	case Tunnel:
		b = append(b, "-i"...)
	case LocalNode, Bypass:
		b = append(append(b, '-'), d.Forwarding.String()...)
	default:
		b = append(append(b, '-'), d.Forwarding.String()...)
	}
	b = strconv.AppendUint(append(b, " -w "...), uint64(d.Weight), 10)
	if d.UpperThreshold != 0 || d.LowerThreshold != 0 {
		b = strconv.AppendUint(append(b, " -x "...), uint64(d.UpperThreshold), 10)
		b = strconv.AppendUint(append(b, " -y "...), uint64(d.LowerThreshold), 10)
	}
	return b
}

// appendFlag appends the key as ipvsadm's option: "-t 192.0.2.10:80".
func (k ServiceKey) appendFlag(b []byte) []byte {
	if k.Mark != 0 {
		b = strconv.AppendUint(append(b, "-f "...), uint64(k.Mark), 10)
		if k.MarkFamily == IPv6 {
			b = append(b, " -6"...)
		}
		return b
	}
	switch k.Protocol {
	case TCP:
		b = append(b, "-t "...)
	case UDP:
		b = append(b, "-u "...)
	case SCTP:
		b = append(b, "--sctp-service "...)
	default:
		b = append(append(b, k.Protocol.String()...), ' ')
	}
	return k.Address.AppendTo(b)
}

// String returns the key as one word, "tcp:192.0.2.10:80" or "fwmark:10:4". It is
// what logs and the ownership record use; ParseServiceKey reads it.
func (k ServiceKey) String() string {
	if k.Mark != 0 {
		return "fwmark:" + strconv.FormatUint(uint64(k.Mark), 10) + ":" + strconv.Itoa(int(k.MarkFamily))
	}
	return k.Protocol.String() + ":" + k.Address.String()
}

// ParseServiceKey reads what ServiceKey.String wrote.
func ParseServiceKey(text string) (ServiceKey, error) {
	kind, rest, ok := strings.Cut(text, ":")
	if !ok {
		return ServiceKey{}, fmt.Errorf("parse service key %q: no colon", text)
	}
	if kind == "fwmark" {
		return parseMarkKey(text, rest)
	}
	var p Protocol
	switch kind {
	case "tcp":
		p = TCP
	case "udp":
		p = UDP
	case "sctp":
		p = SCTP
	default:
		return ServiceKey{}, fmt.Errorf("parse service key %q: unknown protocol %q", text, kind)
	}
	a, err := netip.ParseAddrPort(rest)
	if err != nil {
		return ServiceKey{}, fmt.Errorf("parse service key %q: %w", text, err)
	}
	return AddressKey(p, a), nil
}

func parseMarkKey(text, rest string) (ServiceKey, error) {
	number, family, _ := strings.Cut(rest, ":")
	mark, err := strconv.ParseUint(number, 10, 32)
	switch {
	case err != nil:
		return ServiceKey{}, fmt.Errorf("parse service key %q: %w", text, err)
	case mark == 0:
		return ServiceKey{}, fmt.Errorf("parse service key %q: a mark is not 0", text)
	case family == "4":
		return MarkKey(uint32(mark), IPv4), nil
	case family == "6":
		return MarkKey(uint32(mark), IPv6), nil
	default:
		return ServiceKey{}, fmt.Errorf("parse service key %q: family %q is neither 4 nor 6", text, family)
	}
}
