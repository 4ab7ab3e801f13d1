package vrrp

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// settleIntervals is how many advertisements, of the member that sends the
// fewest, the first member of a sync group has for hearing the other machine: one
// may be lost.
const settleIntervals = 2

// Member is one virtual router of a sync group.
type Member struct {
	// Name is the instance's.
	Name   string
	Config Config
}

// Enroll returns the members with the configurations their routers are to get:
// what each has to know of the group is filled in. The members' order does not
// matter.
func Enroll(name string, members []Member) []Member {
	enrolled := slices.Clone(members)
	first, settle := 0, time.Duration(0)
	for i := range members {
		settle = max(settle, settleIntervals*members[i].Config.Interval)
		if before(&members[i].Config, &members[first].Config) {
			first = i
		}
	}
	for i := range enrolled {
		enrolled[i].Config.Group = Membership{Name: name, First: i == first, Settle: settle}
	}
	return enrolled
}

// before orders members by what is the same on every machine.
func before(a, b *Config) bool {
	if order := lowestAddress(a).Compare(lowestAddress(b)); order != 0 {
		return order < 0
	}
	return a.VRID < b.VRID
}

func lowestAddress(c *Config) netip.Addr {
	if len(c.Addresses) == 0 {
		return netip.Addr{}
	}
	return slices.MinFunc(c.Addresses, netip.Addr.Compare)
}

// Contradiction is a setting that members of a sync group must agree on, and do
// not.
type Contradiction struct {
	// Key is the name of the setting in the configuration file.
	Key string
	// A and B are the names of two members, OfA and OfB what they have.
	A, B     string
	OfA, OfB string
	// Why says what would come of it.
	Why string
}

// String names both members and both values.
func (c Contradiction) String() string {
	return fmt.Sprintf("%s of %s is %s, that of %s is %s: %s", c.Key, c.A, c.OfA, c.B, c.OfB, c.Why)
}

// Contradictions lists what keeps virtual routers from being a sync group: each
// setting once, with the first member that differs from the first of all.
func Contradictions(members []Member) []Contradiction {
	var list []Contradiction
	if len(members) == 0 {
		return nil
	}
	a := &members[0]
	differ := func(key, why string, of func(*Config) string) {
		for i := range members {
			if b := &members[i]; of(&b.Config) != of(&a.Config) {
				list = append(list, Contradiction{Key: key, A: a.Name, B: b.Name, OfA: of(&a.Config), OfB: of(&b.Config), Why: why})
				return
			}
		}
	}
	mixed := slices.ContainsFunc(members, func(m Member) bool { return m.Config.owner() != a.Config.owner() })
	why := "another machine could be the better one for the first and the worse one for the second, and the group would never settle"
	if mixed {
		why = "an owner does not make way, and the others do"
	}
	differ("priority", why, func(c *Config) string { return strconv.Itoa(int(c.Priority)) })
	differ("preempt", "one would take over from an active router that the other leaves in peace", func(c *Config) string {
		return strconv.FormatBool(c.Preempt || c.owner()) // An owner does, whatever is configured.
	})
	differ("preempt_delay", "one would take over from an active router that the other still leaves in peace", func(c *Config) string {
		return c.PreemptDelay.String()
	})
	differ("startup_delay", "one would take part in an election in which the other only listens", func(c *Config) string {
		return c.Hold.String()
	})
	return list
}
