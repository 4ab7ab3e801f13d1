package vip

import "net/netip"

// bursts are the announcements of one step. When an instance takes over, they
// begin while its addresses are still being put, so that the first neighbours
// know before the last address is there.
type bursts struct {
	repeat int
	open   map[string]*burst // by interface; nil while nothing has begun
}

// asked notes that everything is to be announced so many times.
func (k *keeper) asked(repeat int) {
	b := &k.bursts
	if b.repeat = max(b.repeat, repeat); b.repeat == 0 || k.phase != acquiring || b.open != nil {
		return
	}
	b.open = make(map[string]*burst)
	k.owner.crier.drop(k.name) // It takes the place of what is waiting.
	for name, l := range k.links {
		if l.addressed {
			b.open[name] = k.owner.crier.open(k.name, name, k.there(name), b.repeat, &k.sent)
		}
	}
}

// extend announces what has just been put.
func (b *bursts) extend(c *crier, put []*entry) {
	s, ok := put[0].slot.(addressSlot)
	if !ok || b.open == nil {
		return
	}
	c.extend(b.open[s.iface], each(put, func(e *entry) netip.Addr { return e.address.Addr() }))
}

// announce tells the neighbours: of everything when the speaker asks, else of
// what has just been added.
func (k *keeper) announce(added []*entry) {
	late, _ := k.interim()
	k.asked(late)
	b := k.bursts
	k.bursts = bursts{}
	switch {
	case b.open != nil:
		for name, open := range b.open {
			k.owner.crier.finish(open, k.there(name), b.repeat)
		}
	case b.repeat > 0:
		k.owner.crier.drop(k.name)
		for name := range k.links {
			k.owner.crier.announce(k.name, name, k.there(name), b.repeat, &k.sent)
		}
	case k.phase == holding && k.config.Repeat > 0:
		// Becoming active is announced when the speaker asks for it.
		byLink := make(map[string][]netip.Addr)
		for _, e := range added {
			if s, ok := e.slot.(addressSlot); ok {
				byLink[s.iface] = append(byLink[s.iface], s.prefix.Addr())
			}
		}
		for name, list := range byLink {
			k.owner.crier.announce(k.name, name, list, k.config.Repeat, &k.sent)
		}
	}
}

// abandon drops what is waiting to be announced.
func (k *keeper) abandon() {
	k.bursts = bursts{}
	k.owner.crier.drop(k.name)
}

// there are the addresses that are on an interface.
func (k *keeper) there(iface string) []netip.Addr {
	var list []netip.Addr
	for _, e := range k.entries {
		if s, ok := e.slot.(addressSlot); ok && s.iface == iface && e.Present {
			list = append(list, s.prefix.Addr())
		}
	}
	return list
}
