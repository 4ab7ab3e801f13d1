package kerneltest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// Kernel is a kernel in memory: links with their addresses, routes, rules, and
// what was announced. It behaves like the real one where callers can tell: the
// same call twice is harmless, what is missing is ENODEV, addresses go with
// their link, and routes with what they need. It satisfies the interfaces that
// the drivers declare, and its methods may be called from many goroutines.
//
// The upper methods are those of the drivers, the lower ones are the hand of
// somebody else on the same machine and the means to make calls fail.
type Kernel struct {
	telling  sync.Mutex // held while watchers are told, so that they hear in order
	mu       sync.Mutex
	index    int // the last one given out
	links    []*memoryLink
	sent     []Announcement
	journal  []string
	failures map[Call]*failure
	fleeting map[netip.Prefix]int
	gates    map[Call]chan struct{}
	watchers []func([]LinkState)
	unmarked bool
	routing
}

type memoryLink struct {
	LinkState                // without its addresses
	entries   []inet.Address // halo's carry ProtocolHalo
	macvlan   *inet.Macvlan
}

// LinkState is a link as a watcher sees it.
type LinkState struct {
	Name      string
	Index     int
	Up        bool
	Addresses []inet.Address
}

// Announcement is one gratuitous ARP.
type Announcement struct {
	At      time.Time
	Link    string
	Address netip.Addr
}

// Call is a call that can be made to fail or to hang.
type Call string

// The calls of drivers.
const (
	CallList     Call = "list"
	CallAdd      Call = "add"
	CallDelete   Call = "delete"
	CallAnnounce Call = "announce"

	CallListRoutes   Call = "list routes"
	CallPutRoutes    Call = "put routes"
	CallDeleteRoutes Call = "delete routes"
	CallListRules    Call = "list rules"
	CallPutRules     Call = "put rules"
	CallDeleteRules  Call = "delete rules"
	CallMacvlan      Call = "macvlan"
)

type failure struct {
	times int // how many calls are still to fail, negative = all
	err   error
}

// NewKernel makes a kernel that has the loopback link alone.
func NewKernel() *Kernel {
	k := &Kernel{
		failures: make(map[Call]*failure), fleeting: make(map[netip.Prefix]int),
		gates: make(map[Call]chan struct{}),
	}
	k.AddLink("lo", "127.0.0.1/8")
	k.journal = nil
	return k
}

// Announce records one gratuitous ARP for each address.
func (k *Kernel) Announce(link string, addresses []netip.Addr) error {
	k.enter(CallAnnounce)
	defer k.mu.Unlock()
	if err := k.fails(CallAnnounce); err != nil {
		return fmt.Errorf("announce addresses on %s: %w", link, err)
	}
	switch l := k.find(link); {
	case l == nil:
		return fmt.Errorf("announce addresses on %s: %w", link, unix.ENODEV)
	case !l.Up:
		return fmt.Errorf("announce addresses on %s: %w", link, unix.ENETDOWN)
	}
	now := time.Now()
	for _, a := range addresses {
		k.sent = append(k.sent, Announcement{At: now, Link: link, Address: a})
	}
	return nil
}

// Fail makes the next calls of one kind fail; a negative number means all of
// them until Fail is called again, 0 ends it.
func (k *Kernel) Fail(call Call, times int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failures[call] = &failure{times: times, err: err}
}

// Vanish makes an address disappear right after each of the next additions.
func (k *Kernel) Vanish(address string, times int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fleeting[netip.MustParsePrefix(address)] = times
}

// Hang makes calls of one kind wait until the returned function is called.
func (k *Kernel) Hang(call Call) (release func()) {
	gate := make(chan struct{})
	k.mu.Lock()
	defer k.mu.Unlock()
	k.gates[call] = gate
	return func() {
		k.mu.Lock()
		delete(k.gates, call)
		k.mu.Unlock()
		close(gate)
	}
}

// Watch calls f with all links now and after every change, like a monitor. It
// is called from the goroutine that made the change and must not block.
func (k *Kernel) Watch(f func([]LinkState)) {
	k.mu.Lock()
	k.watchers = append(k.watchers, f)
	k.leave()
}

// Sent is what was announced, oldest first.
func (k *Kernel) Sent() []Announcement {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.sent)
}

// Forget empties the record of announcements and calls.
func (k *Kernel) Forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sent, k.journal = nil, nil
}

// Journal is the changes that drivers asked for, a line each, oldest first:
// "add eth0 192.0.2.10/24".
func (k *Kernel) Journal() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return strings.Join(k.journal, "\n")
}

// enter takes the lock for a call once nothing makes it wait.
func (k *Kernel) enter(call Call) {
	k.mu.Lock()
	for {
		gate, ok := k.gates[call]
		if !ok {
			return
		}
		k.mu.Unlock()
		<-gate
		k.mu.Lock()
	}
}

// leave gives the lock back and tells the watchers.
func (k *Kernel) leave() {
	states := make([]LinkState, len(k.links))
	for i, l := range k.links {
		states[i] = l.LinkState
		states[i].Addresses = slices.Clone(l.entries)
	}
	watchers := slices.Clone(k.watchers)
	routing, routes, rules := slices.Clone(k.routing.watchers), slices.Clone(k.routes), slices.Clone(k.rules)
	k.telling.Lock()
	defer k.telling.Unlock()
	k.mu.Unlock()
	for _, f := range watchers {
		f(states)
	}
	for _, f := range routing {
		f(routes, rules)
	}
}

func (k *Kernel) fails(call Call) error {
	f := k.failures[call]
	if f == nil || f.times == 0 {
		return nil
	}
	if f.times > 0 {
		f.times--
	}
	return f.err
}

func (k *Kernel) find(name string) *memoryLink {
	for _, l := range k.links {
		if l.Name == name {
			return l
		}
	}
	return nil
}

func join[T fmt.Stringer](list []T) string {
	words := make([]string, len(list))
	for i, a := range list {
		words[i] = a.String()
	}
	return strings.Join(words, " ")
}
