package vip

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// facts reads the kernel's tables. A read serves everybody who asked before it
// began, so hundreds of instances of one interface that change at the same time
// share a few reads of a long list.
type facts struct {
	kernel Kernel
	clock  atomic.Uint64 // counts questions and reads, to tell which came first

	mu      sync.Mutex
	sources map[source]*reading
}

// readPatience is how long a read waits for changes that are under way. A list
// that changes while it is read would have to be read again, and a read takes
// the kernel's and the processor's time from the changes.
const readPatience = 50 * time.Millisecond

// reading is the last read of a source.
type reading struct {
	turn chan struct{} // has a value while nobody reads
	// Guarded by turn: when the last read began, and what it gave. The table
	// never changes.
	began uint64
	table table
	err   error

	// Guarded by the lock of facts: how many changes are under way, and what is
	// closed when there are none any more.
	changes int
	quiet   chan struct{}
}

func newFacts(kernel Kernel) *facts {
	return &facts{kernel: kernel, sources: make(map[source]*reading)}
}

// read returns what is in a source, as of some moment after the call.
func (f *facts) read(s source) (table, error) {
	asked := f.clock.Add(1)
	r := f.of(s)
	<-r.turn
	defer func() { r.turn <- struct{}{} }()
	if r.began < asked {
		f.await(r)
		r.began = f.clock.Add(1)
		r.table, r.err = f.list(s)
	}
	return r.table, r.err
}

// change does something that changes a source.
func (f *facts) change(s source, do func() error) error {
	r := f.of(s)
	f.mu.Lock()
	if r.changes++; r.changes == 1 {
		r.quiet = make(chan struct{})
	}
	f.mu.Unlock()
	err := do()
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.changes--; r.changes == 0 {
		close(r.quiet)
	}
	return err
}

// await waits until no change of a source is under way, but not for ever.
func (f *facts) await(r *reading) {
	f.mu.Lock()
	quiet := r.quiet
	if r.changes == 0 {
		quiet = nil
	}
	f.mu.Unlock()
	if quiet == nil {
		return
	}
	limit := time.NewTimer(readPatience)
	defer limit.Stop()
	select {
	case <-quiet:
	case <-limit.C:
	}
}

func (f *facts) list(s source) (table, error) {
	switch s.kind {
	case kindRoute:
		list, err := f.kernel.Routes.Routes(inet.RouteFilter{Protocol: s.mark})
		return tableOfRoutes(list), err
	case kindRule:
		list, err := f.kernel.Rules.Rules(s.mark)
		return tableOfRules(list), err
	case kindAddress:
	}
	list, err := f.kernel.Addresses.ListAddresses(s.iface)
	return tableOfAddresses(list), err
}

func (f *facts) of(s source) *reading {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.sources[s]
	if !ok {
		r = &reading{turn: make(chan struct{}, 1)}
		r.turn <- struct{}{}
		f.sources[s] = r
	}
	return r
}
