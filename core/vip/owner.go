// Package vip owns the virtual addresses, and the routes and rules that go with
// them: it puts an instance's entries into the kernel's tables while the
// instance is active, keeps them there, takes them out when it is not, and
// tells the neighbours.
//
// Who calls: a speaker calls Acquire, Release and Announce, the daemon Set,
// Remove, LinksChanged and RoutingChanged. All of them only leave a note and
// never wait for the kernel, so the election is not held up by an address. Each
// instance has its own goroutine, which does what was noted in order; notes
// that a later one has overtaken are skipped, so there is no queue to fill up.
//
// The kernel is asked rather than remembered: what is in its tables decides
// what is done, and is looked at again after every change. Left-overs of a
// crash are adopted by an active instance and removed by any other. What
// somebody else removes or changes is put right within a second, what somebody
// else adds to an instance that is not active is taken off, and both are
// reported as drift; an instance whose addresses cannot be kept is reported as
// lost, so that another router can have them. An entry that is not one of an
// instance's is never touched, but for those with halo's mark, by Sweep.
//
// Addresses come first, then routes, which may need an address to send from,
// then rules, which lead to routes; they go the other way round. A route or a
// rule that cannot be kept costs an instance nothing unless it is Required:
// another router would mostly fare no better, and the address would be nowhere.
//
// An instance that is acquired once and released at the end alone is how
// static entries are kept.
//
// The package knows nothing of VRRP, opens no socket and decides nothing about
// mastership. Read Owner first, then keeper, then schedule.
package vip

import (
	"log/slog"
	"net/netip"
	"slices"
	"sync"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// Who talks to whom:
//
//	speaker --Acquire, Release, Announce--> keeper (one per instance)
//	daemon  --Set, Remove-----------------> keeper
//	daemon  --LinksChanged, RoutingChanged--> Owner.Run --look again--> keeper
//	keeper  --> Kernel: list (shared by facts), put, delete
//	keeper  --burst--> crier (one) --batch, paced--> voice (one per interface) --> Announcer
//	keeper  --> Observer

// Kernel is the machine's tables. Routes and Rules may be missing while no
// instance has any.
type Kernel struct {
	Addresses AddressTable
	Routes    RouteTable
	Rules     RuleTable
}

// AddressTable is the machine's addresses. Its methods may block; they are
// called from the goroutines of the instances.
type AddressTable interface {
	// ListAddresses lists an interface's addresses, with halo's mark as far as
	// the kernel stores marks. An interface that does not exist is an error
	// that wraps ENODEV.
	ListAddresses(iface string) ([]inet.Address, error)
	// PutAddresses makes addresses be there as given, and marks them as halo's.
	// One that somebody else put there is left as it is.
	PutAddresses(iface string, addresses []inet.Address) error
	// DelAddresses deletes addresses; what is missing is success.
	DelAddresses(iface string, addresses []netip.Prefix) error
}

// RouteTable is the machine's routing tables, as AddressTable is of addresses.
type RouteTable interface {
	// Routes lists routes of both families.
	Routes(inet.RouteFilter) ([]inet.Route, error)
	// PutRoutes makes routes be there as given. One that somebody else made is
	// left alone, and is an error.
	PutRoutes([]inet.Route) error
	// DelRoutes deletes the routes of these identities and marks.
	DelRoutes([]inet.Route) error
}

// RuleTable is the machine's routing rules, as RouteTable is of routes.
type RuleTable interface {
	Rules(mark inet.Protocol) ([]inet.Rule, error)
	PutRules([]inet.Rule) error
	DelRules([]inet.Rule) error
}

// Announcer tells the neighbours of an interface that it has these addresses,
// by one gratuitous ARP for each IPv4 address and one unsolicited neighbor
// advertisement for each IPv6 address. It is called from one goroutine per
// interface and may block, which delays that interface alone.
type Announcer interface {
	Announce(iface string, addresses []netip.Addr) error
}

// Observer hears what happens to addresses, routes and rules; what it hears is
// not logged here as well. It is called from the goroutines of the instances
// and must not block; it may call the Owner.
type Observer interface {
	// Drifted reports that something was not as it should be.
	Drifted(Drift)
	// Lost reports that an instance's addresses cannot be kept, so that it
	// should not be active. Nothing is added until Restored.
	Lost(instance string, reason error)
	// Restored reports that an instance that was Lost may try again.
	Restored(instance string)
}

// Link is an interface as last seen.
type Link struct {
	Name string
	// Index tells an interface from a later one of the same name.
	Index     int
	Addresses []inet.Address
}

// Owner owns the addresses, routes and rules of all instances.
type Owner struct {
	kernel   Kernel
	observer Observer
	log      *slog.Logger
	facts    *facts
	jointly  jointly
	crier    *crier
	wake     chan struct{} // for Run

	mu      sync.Mutex
	keepers map[string]*keeper
	claims  map[slot]map[*keeper]bool // who holds an entry, false for who is just deleting it
	links   []Link
	routing routing
	seen    seen // made from links and routing
	news    bool // there is something to compare: links, routing, claims or a belief changed
	stop    bool // Run is ending
}

// New makes an Owner without instances. It does nothing before Run.
func New(kernel Kernel, announcer Announcer, observer Observer, log *slog.Logger) *Owner {
	return &Owner{
		kernel: kernel, observer: observer, log: log,
		facts: newFacts(kernel), jointly: jointly{queues: make(map[string]*deletions)}, crier: newCrier(announcer, log),
		wake:    make(chan struct{}, 1),
		keepers: make(map[string]*keeper), claims: make(map[slot]map[*keeper]bool),
	}
}

// Set adds an instance, or gives it another configuration: entries that are in
// both stay untouched. A new instance does nothing until the first Acquire or
// Release says what it is. One that moves to another interface is new there,
// since its router is; what it had is taken off.
func (o *Owner) Set(instance Instance) {
	instance = instance.clone()
	o.mu.Lock()
	defer o.mu.Unlock()
	k, ok := o.keepers[instance.Name]
	if !ok {
		k = newKeeper(o, instance)
		o.keepers[instance.Name] = k
		if o.stop {
			return // Too late: it is never started.
		}
		o.news = true // It is to be compared with what is known already.
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

// Remove releases what an instance has and forgets it.
func (o *Owner) Remove(name string) {
	o.tell(name, func(n *notes) { n.removed, n.want, n.decided, n.repeat = true, false, true, 0 })
}

// Acquire asks for an instance's entries to be put into the kernel's tables and
// kept there. Unknown instances are ignored.
func (o *Owner) Acquire(name string) {
	o.tell(name, func(n *notes) {
		if !n.removed {
			n.want, n.decided = true, true
		}
	})
}

// Release asks for an instance's entries to be taken off. Announcements that
// are still waiting are dropped.
func (o *Owner) Release(name string) {
	o.tell(name, func(n *notes) { n.want, n.decided, n.repeat = false, true, 0 })
}

// Burst says how an instance's addresses are announced.
type Burst struct {
	// Repeat is the number of packets for each address.
	Repeat int
}

// Announce asks for all addresses of an instance to be announced, each as soon
// as the Acquire before it has been carried out for it. It replaces what is
// still waiting of an earlier one. An instance that does not hold its addresses
// ignores it.
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
	o.changed()
}

// RoutingChanged tells which routes and rules there are with the marks that
// instances use, as LinksChanged does of links. Without it, what others do to
// routes and rules is noticed only when something else makes an instance look.
func (o *Owner) RoutingChanged(routes []inet.Route, rules []inet.Rule) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.routing = routing{routes: routes, rules: rules, known: true}
	o.changed()
}

// recompare asks for what is known of the kernel to be compared again.
func (o *Owner) recompare() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.changed()
}

// changed notes that there is something to compare. The Owner's lock is held.
func (o *Owner) changed() {
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

// poke wakes whoever waits on a channel of capacity one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (i Instance) clone() Instance {
	i.Addresses, i.Excluded = slices.Clone(i.Addresses), slices.Clone(i.Excluded)
	i.Routes, i.Rules = slices.Clone(i.Routes), slices.Clone(i.Rules)
	return i
}
