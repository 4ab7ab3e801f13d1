// Package vip owns the virtual addresses: it puts an instance's addresses on
// its interface while the instance is active, keeps them there, takes them off
// when it is not, and tells the neighbours.
//
// Who calls: a speaker calls Acquire, Release and Announce, the daemon Set,
// Remove and LinksChanged. All of them only leave a note and never wait for
// the kernel, so the election is not held up by an address. Each instance has
// its own goroutine, which does what was noted in order; notes that a later
// one has overtaken are skipped, so there is no queue to fill up.
//
// The kernel is asked rather than remembered: what is on the interface decides
// what is done, and is looked at again after every change. Left-overs of a
// crash are adopted by an active instance and removed by any other. What
// somebody else removes is put back within a second, what somebody else adds
// to an instance that is not active is taken off, and both are reported as
// drift; an instance whose addresses cannot be kept is reported as lost, so
// that another router can have them. An address that is not one of an
// instance's is never touched.
//
// The package knows nothing of VRRP, opens no socket and decides nothing about
// mastership. Read Owner first, then keeper.
package vip

import (
	"log/slog"
	"net/netip"
	"slices"
	"sync"
)

// Who talks to whom:
//
//	speaker --Acquire, Release, Announce--> keeper (one per instance)
//	daemon  --Set, Remove-----------------> keeper
//	daemon  --LinksChanged--> Owner.Run --look again--> keeper
//	keeper  --> Kernel: list (shared by facts), add, delete
//	keeper  --burst--> lane (one per interface) --paced--> Announcer
//	keeper  --> Observer

// Kernel is the machine's addresses. Its methods may block; they are called
// from the goroutines of the instances.
type Kernel interface {
	// Addresses lists an interface's addresses, all of them, and those that
	// AddAddresses marked as halo's, as far as the kernel stores marks. An
	// interface that does not exist is an error that wraps ENODEV.
	Addresses(iface string) (all, marked []netip.Prefix, err error)
	// AddAddresses adds addresses; what is there already is success.
	AddAddresses(iface string, addresses []netip.Prefix) error
	// DelAddresses deletes addresses; what is missing is success.
	DelAddresses(iface string, addresses []netip.Prefix) error
}

// Announcer sends one gratuitous ARP for each address. It is called from one
// goroutine per interface and may block.
type Announcer interface {
	Announce(iface string, addresses []netip.Addr) error
}

// Observer hears what happens to addresses; what it hears is not logged here as
// well. It is called from the goroutines of the instances and must not block;
// it may call the Owner.
type Observer interface {
	// Drifted reports that an address was not as it should be.
	Drifted(Drift)
	// Lost reports that an instance's addresses cannot be kept, so that it
	// should not be active. Nothing is added until Restored.
	Lost(instance string, reason error)
	// Restored reports that an instance that was Lost may try again.
	Restored(instance string)
}

// Instance is what the configuration says of one instance's addresses.
type Instance struct {
	Name      string
	Interface string
	Addresses []netip.Prefix
	// AddressOwner says that the addresses may be the machine's own, as they
	// are for a router of priority 255. Those found on the interface without
	// halo's mark stay there for ever.
	AddressOwner bool
	// Repeat is how many times each address is announced that is put on the
	// interface while the instance is active: after drift, or added by a
	// reload. Zero is none. Becoming active is announced by Announce.
	Repeat int
}

// Link is an interface as last seen.
type Link struct {
	Name string
	// Index tells an interface from a later one of the same name.
	Index     int
	Addresses []netip.Prefix
}

// Owner owns the addresses of all instances.
type Owner struct {
	kernel    Kernel
	announcer Announcer
	observer  Observer
	log       *slog.Logger
	facts     facts
	wake      chan struct{} // for Run

	mu      sync.Mutex
	keepers map[string]*keeper
	lanes   map[string]*lane
	claims  map[claim]map[*keeper]bool // who holds an address
	links   []Link
	seen    map[string]seenLink // by name, made from links
	news    bool                // links have changed since they were compared
	stop    bool                // Run is ending
}

// New makes an Owner without instances. It does nothing before Run.
func New(kernel Kernel, announcer Announcer, observer Observer, log *slog.Logger) *Owner {
	o := &Owner{
		kernel: kernel, announcer: announcer, observer: observer, log: log,
		wake:    make(chan struct{}, 1),
		keepers: make(map[string]*keeper), lanes: make(map[string]*lane),
		claims: make(map[claim]map[*keeper]bool), seen: make(map[string]seenLink),
	}
	o.facts.kernel = kernel
	return o
}

// Set adds an instance, or gives it another configuration: addresses that are
// in both stay untouched. A new instance does nothing until the first Acquire
// or Release says what it is. One that moves to another interface is new there,
// since its router is; on the old one its addresses are taken off.
func (o *Owner) Set(instance Instance) {
	instance.Addresses = slices.Clone(instance.Addresses)
	o.mu.Lock()
	defer o.mu.Unlock()
	k, ok := o.keepers[instance.Name]
	if !ok {
		k = newKeeper(o, instance)
		o.keepers[instance.Name] = k
		if o.stop {
			return // Too late: it is never started.
		}
		o.news = true // It is to be compared with the links known already.
		poke(o.wake)
	}
	k.tell(func(n *notes) {
		if n.config.Interface != instance.Interface {
			n.want, n.decided, n.repeat = false, false, 0
		}
		n.config = instance
		n.removed = false
	})
}

// Remove releases an instance's addresses and forgets it.
func (o *Owner) Remove(name string) {
	o.tell(name, func(n *notes) { n.removed, n.want, n.decided, n.repeat = true, false, true, 0 })
}

// Acquire asks for an instance's addresses to be put on its interface and kept
// there. Unknown instances are ignored.
func (o *Owner) Acquire(name string) {
	o.tell(name, func(n *notes) {
		if !n.removed {
			n.want, n.decided = true, true
		}
	})
}

// Release asks for an instance's addresses to be taken off. Announcements that
// are still waiting are dropped.
func (o *Owner) Release(name string) {
	o.tell(name, func(n *notes) { n.want, n.decided, n.repeat = false, true, 0 })
}

// Burst says how an instance's addresses are announced.
type Burst struct {
	// Repeat is the number of packets for each address.
	Repeat int
}

// Announce asks for all addresses of an instance to be announced, after the
// Acquire before it has been carried out. It replaces what is still waiting of
// an earlier one. An instance that does not hold its addresses ignores it.
func (o *Owner) Announce(name string, burst Burst) {
	o.tell(name, func(n *notes) {
		if n.want {
			n.repeat = max(n.repeat, burst.Repeat)
		}
	})
}

// LinksChanged tells which links there are, with their addresses. It may be
// late and skip states: it makes instances look for themselves. The slices
// must not be changed afterwards.
func (o *Owner) LinksChanged(links []Link) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.links = links
	if !o.news {
		o.news = true
		poke(o.wake)
	}
}

// tell leaves a note for an instance.
func (o *Owner) tell(name string, note func(*notes)) {
	o.mu.Lock()
	k := o.keepers[name]
	o.mu.Unlock()
	if k != nil {
		k.tell(note)
	}
}
