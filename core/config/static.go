package config

import "fmt"

// Static is [static]: what this machine has while halo runs, whatever the
// elections say. Its addresses are all Optional, with an interface each; its
// routes and rules are never Required.
type Static struct {
	Addresses []Address `json:"addresses"`
	Routes    []Route   `json:"routes"`
	Rules     []Rule    `json:"rules"`
}

// Empty reports whether there is nothing static.
func (s Static) Empty() bool { return len(s.Addresses)+len(s.Routes)+len(s.Rules) == 0 }

// static reads [static], and notes what instances must not have as well.
func (r *reader) static(t *table, taken *routerSet) Static {
	if t == nil {
		return Static{}
	}
	defer t.done()
	s := Static{Addresses: ask(t, "addresses", lists[Address]{staticForm{}, 1, maxEntries, "addresses"}).optional()}
	if r.record != nil {
		return s // The keys of the rest are those of an instance's.
	}
	s.Routes, s.Rules = t.routingLists(static)
	nodes := t.elements("addresses")
	if t.fine("addresses") && len(nodes) == len(s.Addresses) {
		t.addressesOnce(s.Addresses, nodes)
		taken.addAddresses(t, addressList{"addresses", s.Addresses, nodes}, "")
	}
	taken.addRoutes(t, s.Routes)
	return s
}

// addressesOnce reports addresses that are in the list twice.
func (t *table) addressesOnce(list []Address, nodes []*node) {
	lines := map[addressPlace]int{}
	for i, a := range list {
		where, line := placeOf(a, ""), t.reader.source.line(nodes[i].start)
		if first, twice := lines[where]; twice {
			t.reader.report(SeverityError, nodes[i].start, Problem{
				Key:      index(join(t.path, "addresses"), i),
				Message:  fmt.Sprintf("%s is in the list already, on line %d", a.Addr(), first),
				Expected: "each of the addresses once",
			})
			continue
		}
		lines[where] = line
	}
}

// staticForm takes the table of a static address.
type staticForm struct{}

func (staticForm) expected() string {
	return `a table such as { address = "192.0.2.10/24", interface = "eth1" }`
}

func (f staticForm) read(v value) (Address, bool) {
	if v.node.shape != dictionary {
		suggestion := ""
		if word, ok := v.node.value.(string); ok {
			suggestion = fmt.Sprintf("{ address = %q, interface = \"eth1\" }", word)
		}
		v.wrongType(f.expected(), suggestion)
		return Address{}, false
	}
	t := v.reader.table(v.path, v.node, addressHints())
	a := t.address(static)
	return a, len(t.bad) == 0
}
