package vip

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// sourceEntries are the entries that are read together.
type sourceEntries struct {
	source
	entries []*entry
}

// linkState is what a keeper remembers of an interface that its entries need.
type linkState struct {
	// addressed means that there are addresses on it; else it is known by its
	// routes alone, and only from what the Owner was told.
	addressed bool
	looked    bool // it has been looked at for what is kept
	away      bool // it was missing when last looked
	index     int  // of the interface on which the entries were put
	recreated bool // the last look found another interface of the name, or none
}

// sight is what came of looking at all sources.
type sight struct {
	// gone are entries that were there, as wanted, and are not any more.
	gone [classes][]*entry
	// blind is the first error of reading, other than a missing interface.
	blind error
	// unseen are the sources that could not be read, missing the interfaces
	// that do not exist.
	unseen  map[source]bool
	missing []string
}

// look reads what is in the kernel's tables into the entries' status.
func (k *keeper) look() sight {
	s := sight{unseen: make(map[source]bool)}
	for name, l := range k.links {
		if !l.addressed {
			index := k.owner.index(name)
			l.seen(index == 0, index)
		}
	}
	for _, group := range k.bySource {
		t, err := k.owner.facts.read(group.source)
		missing := group.kind == kindAddress && errors.Is(err, syscall.ENODEV)
		switch {
		case missing:
			s.missing = append(s.missing, group.iface)
		case err != nil:
			s.unseen[group.source] = true
			if s.blind == nil {
				s.blind = err
			}
			continue
		}
		if group.kind == kindAddress {
			l := k.links[group.iface]
			l.seen(missing, k.owner.index(group.iface))
			if !missing && !l.looked {
				l.looked = true
				k.keep(group.entries, t)
			}
		}
		now := time.Now()
		for _, e := range group.entries {
			present, asWanted := t.find(e.wish)
			if e.there() && !(present && asWanted) {
				s.gone[e.class] = append(s.gone[e.class], e)
			}
			if missing {
				e.kept = false // Whatever comes back is another interface.
			}
			e.set(present, asWanted, now)
		}
	}
	return s
}

func (e *entry) set(present, asWanted bool, now time.Time) {
	if e.Present != present || e.Since.IsZero() {
		e.Present, e.Since = present, now
	}
	e.asWanted = asWanted
}

// seen notes what became of an interface since the last look.
func (l *linkState) seen(missing bool, index int) {
	if missing {
		l.away, l.looked, l.recreated = true, false, true
		return
	}
	l.recreated = l.away || (l.index != 0 && l.index != index)
	l.away, l.index = false, index
}

// away tells whether an entry is an address whose interface is missing.
func (k *keeper) away(e *entry) bool {
	a, ok := e.slot.(addressSlot)
	return ok && k.links[a.iface].away
}

// keep notes which addresses are the machine's own. What this keeper put there
// is not, even where the kernel stores no marks.
func (k *keeper) keep(entries []*entry, found table) {
	for _, e := range entries {
		present, _ := found.find(e.wish)
		e.kept = k.config.AddressOwner && (e.kept || present && !found.marked(e.slot) && !e.Present)
	}
}

// unread goes on without knowing everything. That is no reason to give anything
// up, nor to do without it: putting what is there does no harm.
func (k *keeper) unread(s sight) (next time.Time) {
	if s.blind == nil {
		k.blind = 0
		return time.Time{}
	}
	k.note(s.blind)
	if k.blind++; k.blind == 1 {
		k.owner.log.Error("cannot read what the kernel has", "instance", k.name, "iface", k.config.Interface, "reason", s.blind)
	}
	return time.Now().Add(min(retryPause<<min(k.blind-1, 10), missingPause))
}

// absent waits for missing interfaces. They are not the entries' fault, so
// nothing is lost by them.
func (k *keeper) absent(s sight) (next time.Time) {
	if len(s.missing) == 0 {
		return time.Time{}
	}
	k.note(fmt.Errorf("interface %s is missing", s.missing[0]))
	return time.Now().Add(missingPause)
}
