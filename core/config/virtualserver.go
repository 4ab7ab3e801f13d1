package config

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"time"
)

// virtualServer reads one [virtual_server.NAME].
func (r *reader) virtualServer(t *table, g *Generation) *VirtualServer {
	defer t.done()
	vs := &VirtualServer{
		Name:      t.name,
		Address:   ask(t, "address", endpoints{example: "192.0.2.10:80"}).required(),
		Protocol:  ask(t, "protocol", words{allowed: []string{"tcp", "udp"}, planned: []string{"sctp"}}).or("tcp"),
		Scheduler: ask(t, "scheduler", words{allowed: schedulers()}).or("wlc"),
		Forward:   ask(t, "forward", forwards()).or("nat"),
		// The upper bound is far below where the kernel's count of ticks overflows.
		Persistence: ask(t, "persistence", durations{high: 31 * day, step: time.Second}).or(0),
		Quorum:      ask(t, "quorum", integers[int]{1, math.MaxInt32}).or(1),
		OnFailure:   ask(t, "on_failure", failures()).or("remove"),
		SorryServer: ask(t, "sorry_server", endpoints{example: "192.0.2.99:80"}).optional(),
	}
	inherited := r.checks(t, g)
	t.portRule("sorry_server", vs, vs.Forward, vs.SorryServer, "forward")
	elements := t.tables("real_server", realServerHints())
	lines := make(map[netip.AddrPort]int, len(elements))
	for _, element := range elements {
		rs := r.realServer(element, vs, g)
		if !element.written("check") || r.record != nil {
			rs.Checks = inherited
		}
		if element.fine("address") {
			if line, twice := lines[rs.Address]; twice {
				element.wrong("address", fmt.Sprintf("%q is a real server of %s already, on line %d", rs.Address, t.path, line), "each real server once", "")
			} else {
				lines[rs.Address] = r.source.line(element.at("address"))
			}
		}
		vs.Servers = append(vs.Servers, rs)
	}
	if t.fine("address", "real_server", "quorum") && r.record == nil {
		t.quorumRule(vs, elements)
	}
	return vs
}

func forwards() words { return words{allowed: []string{"nat", "dr", "tun"}} }

func failures() words { return words{allowed: []string{"remove", "quiesce"}} }

// realServer reads one [[virtual_server.NAME.real_server]].
func (r *reader) realServer(t *table, vs *VirtualServer, g *Generation) *RealServer {
	defer t.done()
	rs := &RealServer{
		Address:   ask(t, "address", endpoints{example: "192.0.2.30:80"}).required(),
		Weight:    ask(t, "weight", integers[int]{0, math.MaxInt32}).or(1),
		Forward:   ask(t, "forward", forwards()).or(vs.Forward),
		OnFailure: ask(t, "on_failure", failures()).or(vs.OnFailure),
		Checks:    r.checks(t, g),
	}
	t.portRule("address", vs, rs.Forward, rs.Address, "forward")
	return rs
}

// portRule refuses a destination port that the forwarding method cannot reach:
// only nat rewrites ports, dr and tun hand on the packet as it is.
func (t *table) portRule(key string, vs *VirtualServer, forward string, to netip.AddrPort, method string) {
	if forward == "nat" || !vs.Address.IsValid() || !to.IsValid() || to.Port() == vs.Address.Port() || !t.fine(key, method) {
		return
	}
	t.wrong(key,
		fmt.Sprintf("%q has another port than the virtual server's %d, and forward = %q cannot change ports", to, vs.Address.Port(), forward),
		fmt.Sprintf("port %d, or forward = \"nat\"", vs.Address.Port()),
		strconv.Quote(netip.AddrPortFrom(to.Addr(), vs.Address.Port()).String()))
}

// quorumRule warns of a virtual server that can never be up.
func (t *table) quorumRule(vs *VirtualServer, elements []*table) {
	total := 0
	for i, rs := range vs.Servers {
		if !elements[i].fine("weight") {
			return
		}
		total += rs.Weight
	}
	switch {
	case len(vs.Servers) == 0:
		t.reader.report(SeverityWarning, t.node.key, Problem{
			Key: t.path, Message: "has no real server", Expected: "a [[" + t.path + ".real_server]]",
		})
	case vs.Quorum > total:
		t.odd("quorum", fmt.Sprintf("the quorum %d can never be reached: the weights of all real servers make %d", vs.Quorum, total),
			fmt.Sprintf("a quorum of at most %d", max(total, 1)))
	}
}

// serviceSet finds virtual servers that are the same to the kernel.
type serviceSet map[service]*table

type service struct {
	address  netip.AddrPort
	protocol string
}

// add compares a virtual server with those before it.
func (s serviceSet) add(t *table, vs *VirtualServer) {
	if !t.fine("address", "protocol") {
		return
	}
	key := service{vs.Address, vs.Protocol}
	first, taken := s[key]
	if !taken {
		s[key] = t
		return
	}
	t.wrong("address",
		fmt.Sprintf("%s %s is taken by %s on line %d", vs.Protocol, vs.Address, first.path, t.reader.source.line(first.at("address"))),
		"each address once for a protocol", "")
}
