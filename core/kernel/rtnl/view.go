package rtnl

import (
	"net/netip"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// View is all links with all addresses at one time. It never changes.
type View struct {
	// Links are in ascending order of index.
	Links []Link
	// Overruns is how many times notifications were lost and everything was
	// dumped again. Losses within a second of each other count once.
	Overruns uint64
}

// Link finds a link by name.
func (v *View) Link(name string) (Link, bool) {
	for _, l := range v.Links {
		if l.Name == name {
			return l, true
		}
	}
	return Link{}, false
}

// Removal is an address that went away, by itself or with its link.
type Removal struct {
	Link    string
	Index   int
	Address netip.Prefix
}

// table is the monitor's own, changing copy of the links.
type table struct {
	links    map[int]*Link
	shared   map[int]bool // the link's addresses belong to a published view
	removed  []Removal
	overruns uint64
	changed  bool
}

func newTable() table {
	return table{links: make(map[int]*Link), shared: make(map[int]bool)}
}

// apply works one notification into the table.
func (t *table) apply(h netlink.Header, body []byte) error {
	switch h.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		// A bridge tells of its ports with messages of its own family, whose
		// RTM_DELLINK only means that the port has left the bridge.
		if len(body) > 0 && body[0] != unix.AF_UNSPEC {
			return nil
		}
		link, err := parseLink(body)
		if err != nil {
			return err
		}
		if h.Type == unix.RTM_DELLINK {
			t.deleteLink(link.Index)
		} else {
			t.setLink(link)
		}
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		index, a, err := parseAddress(body)
		if err != nil {
			return err
		}
		if h.Type == unix.RTM_DELADDR {
			t.deleteAddress(index, a)
		} else {
			t.setAddress(index, a)
		}
	}
	return nil
}

func (t *table) setLink(l Link) {
	old, ok := t.links[l.Index]
	if !ok {
		t.links[l.Index] = &l
		t.changed = true
		return
	}
	if l.Name == "" {
		l.Name = old.Name
	}
	if !l.sameAs(old) {
		l.Addresses = old.Addresses
		*old = l
		t.changed = true
	}
}

func (t *table) deleteLink(index int) {
	l, ok := t.links[index]
	if !ok {
		return
	}
	for _, a := range l.Addresses {
		t.removed = append(t.removed, Removal{Link: l.Name, Index: index, Address: a.Prefix})
	}
	delete(t.links, index)
	delete(t.shared, index)
	t.changed = true
}

func (t *table) setAddress(index int, a inet.Address) {
	l, ok := t.links[index]
	if !ok {
		return
	}
	i := indexOf(l.Addresses, &a)
	if i >= 0 && sameAddress(l.Addresses[i], a) {
		return // A renewed lifetime, say.
	}
	t.own(l)
	if i >= 0 {
		l.Addresses = slices.Delete(l.Addresses, i, i+1)
	}
	// The kernel keeps primary addresses before secondary ones.
	at := 0
	for at < len(l.Addresses) && (a.Secondary || !l.Addresses[at].Secondary) {
		at++
	}
	l.Addresses = slices.Insert(l.Addresses, at, a)
	t.changed = true
}

// indexOf finds the address of the same identity, -1 for none. It copies nothing:
// it is asked for each of thousands of changes, of thousands of addresses.
func indexOf(list []inet.Address, a *inet.Address) int {
	for i := range list {
		if list[i].Prefix == a.Prefix && list[i].Peer == a.Peer {
			return i
		}
	}
	return -1
}

func (t *table) deleteAddress(index int, a inet.Address) {
	l, ok := t.links[index]
	if !ok {
		return
	}
	i := indexOf(l.Addresses, &a)
	if i < 0 {
		return
	}
	t.own(l)
	l.Addresses = slices.Delete(l.Addresses, i, i+1)
	t.removed = append(t.removed, Removal{Link: l.Name, Index: index, Address: a.Prefix})
	t.changed = true
}

// sameAddress tells whether two addresses are alike but for the time that has
// passed.
func sameAddress(a, b inet.Address) bool {
	if a.PreferredFor != 0 && b.PreferredFor != 0 {
		a.PreferredFor = b.PreferredFor
	}
	return a == b
}

// own copies a link's addresses if a view shares them.
func (t *table) own(l *Link) {
	if t.shared[l.Index] {
		l.Addresses = slices.Clone(l.Addresses)
		t.shared[l.Index] = false
	}
}

// replace takes over a dump and notes what it lacks.
func (t *table) replace(links []Link) {
	fresh := make(map[int]*Link, len(links))
	for i := range links {
		fresh[links[i].Index] = &links[i]
	}
	for index, old := range t.links {
		now, ok := fresh[index]
		if !ok {
			t.deleteLink(index)
			continue
		}
		if slices.EqualFunc(old.Addresses, now.Addresses, sameAddress) && old.sameAs(now) {
			continue
		}
		t.changed = true
		present := make(map[netip.Prefix]bool, len(now.Addresses))
		for _, a := range now.Addresses {
			present[a.Prefix] = true
		}
		for _, a := range old.Addresses {
			if !present[a.Prefix] {
				t.removed = append(t.removed, Removal{Link: old.Name, Index: index, Address: a.Prefix})
			}
		}
	}
	t.changed = t.changed || len(fresh) != len(t.links)
	t.links = fresh
	clear(t.shared)
}

// snapshot is a view of the table and what was removed since the last one, or
// nil when nothing has changed.
func (t *table) snapshot() (*View, []Removal) {
	if !t.changed {
		return nil, nil
	}
	view := &View{Links: make([]Link, 0, len(t.links)), Overruns: t.overruns}
	for index, l := range t.links {
		view.Links = append(view.Links, *l)
		t.shared[index] = true
	}
	slices.SortFunc(view.Links, func(a, b Link) int { return a.Index - b.Index })
	removed := t.removed
	t.removed, t.changed = nil, false
	return view, removed
}
