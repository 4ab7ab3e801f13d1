package vip

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

// facts reads what is on an interface. A read serves everybody who asked
// before it began, so hundreds of instances of one interface that change at
// the same time share a few reads of a long list.
type facts struct {
	kernel Kernel
	clock  atomic.Uint64 // counts questions and reads, to tell which came first

	mu    sync.Mutex
	links map[string]*linkFacts
}

// fact is the addresses of an interface at one time. It never changes.
type fact struct {
	all, marked map[netip.Prefix]bool
}

type linkFacts struct {
	turn chan struct{} // has a value while nobody reads
	// Guarded by turn: when the last read began, and what it gave.
	began uint64
	fact  fact
	err   error
}

// read returns what is on the interface, as of some moment after the call.
func (f *facts) read(iface string) (fact, error) {
	asked := f.clock.Add(1)
	l := f.link(iface)
	<-l.turn
	defer func() { l.turn <- struct{}{} }()
	if l.began < asked {
		l.began = f.clock.Add(1)
		var all, marked []netip.Prefix
		all, marked, l.err = f.kernel.Addresses(iface)
		l.fact = fact{all: set(all), marked: set(marked)}
	}
	return l.fact, l.err
}

func (f *facts) link(iface string) *linkFacts {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.links == nil {
		f.links = make(map[string]*linkFacts)
	}
	l, ok := f.links[iface]
	if !ok {
		l = &linkFacts{turn: make(chan struct{}, 1)}
		l.turn <- struct{}{}
		f.links[iface] = l
	}
	return l
}

func set(list []netip.Prefix) map[netip.Prefix]bool {
	m := make(map[netip.Prefix]bool, len(list))
	for _, p := range list {
		m[p] = true
	}
	return m
}
