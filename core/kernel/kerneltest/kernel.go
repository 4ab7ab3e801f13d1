package kerneltest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Kernel is a kernel in memory: links with their addresses, and what was
// announced on them. It behaves like the real one where callers can tell: the
// same call twice is harmless, what is missing is ENODEV, and addresses go
// with their link. It satisfies the interfaces that the drivers declare, and
// its methods may be called from many goroutines.
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
}

type memoryLink struct {
	LinkState
	marked map[netip.Prefix]bool
}

// LinkState is a link as a watcher sees it.
type LinkState struct {
	Name      string
	Index     int
	Up        bool
	Addresses []netip.Prefix
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

// Addresses lists a link's addresses, and those that drivers added.
func (k *Kernel) Addresses(link string) (all, marked []netip.Prefix, err error) {
	k.enter(CallList)
	defer k.mu.Unlock()
	if err := k.fails(CallList); err != nil {
		return nil, nil, fmt.Errorf("list addresses of %s: %w", link, err)
	}
	l := k.find(link)
	if l == nil {
		return nil, nil, fmt.Errorf("list addresses of %s: %w", link, unix.ENODEV)
	}
	for _, p := range l.Addresses {
		if l.marked[p] {
			marked = append(marked, p)
		}
	}
	return slices.Clone(l.Addresses), marked, nil
}

// AddAddresses adds addresses to a link.
func (k *Kernel) AddAddresses(link string, addresses []netip.Prefix) error {
	k.enter(CallAdd)
	k.journal = append(k.journal, fmt.Sprintf("add %s %s", link, join(addresses)))
	if err := k.fails(CallAdd); err != nil {
		k.mu.Unlock()
		return fmt.Errorf("add addresses to %s: %w", link, err)
	}
	l := k.find(link)
	if l == nil {
		k.mu.Unlock()
		return fmt.Errorf("add addresses to %s: %w", link, unix.ENODEV)
	}
	for _, p := range addresses {
		if k.fleeting[p] > 0 {
			k.fleeting[p]--
			continue // Added, and deleted by somebody before anyone could look.
		}
		if !slices.Contains(l.Addresses, p) {
			l.Addresses = append(l.Addresses, p)
			l.marked[p] = !k.unmarked
		}
	}
	k.leave()
	return nil
}

// DelAddresses deletes addresses from a link.
func (k *Kernel) DelAddresses(link string, addresses []netip.Prefix) error {
	k.enter(CallDelete)
	k.journal = append(k.journal, fmt.Sprintf("delete %s %s", link, join(addresses)))
	if err := k.fails(CallDelete); err != nil {
		k.mu.Unlock()
		return fmt.Errorf("delete addresses from %s: %w", link, err)
	}
	if l := k.find(link); l != nil {
		l.remove(addresses)
	}
	k.leave()
	return nil
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

// AddLink makes a link, up, with addresses that are somebody else's.
func (k *Kernel) AddLink(name string, addresses ...string) {
	k.mu.Lock()
	k.index++
	l := &memoryLink{LinkState: LinkState{Name: name, Index: k.index, Up: true}, marked: make(map[netip.Prefix]bool)}
	for _, a := range addresses {
		l.Addresses = append(l.Addresses, netip.MustParsePrefix(a))
	}
	k.links = append(k.links, l)
	k.leave()
}

// DelLink deletes a link with its addresses.
func (k *Kernel) DelLink(name string) {
	k.mu.Lock()
	k.links = slices.DeleteFunc(k.links, func(l *memoryLink) bool { return l.Name == name })
	k.leave()
}

// SetLink sets a link up or down.
func (k *Kernel) SetLink(name string, up bool) {
	k.mu.Lock()
	if l := k.find(name); l != nil {
		l.Up = up
	}
	k.leave()
}

// Put adds addresses by somebody else's hand.
func (k *Kernel) Put(link string, addresses ...string) {
	k.mu.Lock()
	if l := k.find(link); l != nil {
		for _, a := range addresses {
			l.Addresses = append(l.Addresses, netip.MustParsePrefix(a))
		}
	}
	k.leave()
}

// PutMarked adds addresses as an earlier run of a driver left them.
func (k *Kernel) PutMarked(link string, addresses ...string) {
	k.mu.Lock()
	if l := k.find(link); l != nil {
		for _, a := range addresses {
			p := netip.MustParsePrefix(a)
			l.Addresses = append(l.Addresses, p)
			l.marked[p] = true
		}
	}
	k.leave()
}

// ForgetMarks makes the kernel one before 5.18, which stores no marks.
func (k *Kernel) ForgetMarks() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unmarked = true
}

// Take deletes addresses by somebody else's hand.
func (k *Kernel) Take(link string, addresses ...string) {
	k.mu.Lock()
	if l := k.find(link); l != nil {
		for _, a := range addresses {
			l.remove([]netip.Prefix{netip.MustParsePrefix(a)})
		}
	}
	k.leave()
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

// String is the state as text, in a stable order, without the loopback:
//
//	link eth0 2 up
//	address eth0 192.0.2.1/24
//	announced eth0 192.0.2.10 x5
func (k *Kernel) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var b strings.Builder
	for _, l := range k.links {
		if l.Name == "lo" {
			continue
		}
		state := "down"
		if l.Up {
			state = "up"
		}
		fmt.Fprintf(&b, "link %s %d %s\n", l.Name, l.Index, state)
		addresses := slices.Clone(l.Addresses)
		slices.SortFunc(addresses, netip.Prefix.Compare)
		for _, a := range addresses {
			fmt.Fprintf(&b, "address %s %s\n", l.Name, a)
		}
	}
	counts := make(map[string]int)
	var order []string
	for _, s := range k.sent {
		key := s.Link + " " + s.Address.String()
		if counts[key]++; counts[key] == 1 {
			order = append(order, key)
		}
	}
	slices.Sort(order)
	for _, key := range order {
		fmt.Fprintf(&b, "announced %s x%d\n", key, counts[key])
	}
	return b.String()
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
		states[i].Addresses = slices.Clone(l.Addresses)
	}
	watchers := slices.Clone(k.watchers)
	k.telling.Lock()
	defer k.telling.Unlock()
	k.mu.Unlock()
	for _, f := range watchers {
		f(states)
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

func (l *memoryLink) remove(addresses []netip.Prefix) {
	l.Addresses = slices.DeleteFunc(l.Addresses, func(p netip.Prefix) bool {
		if slices.Contains(addresses, p) {
			delete(l.marked, p)
			return true
		}
		return false
	})
}

func join(addresses []netip.Prefix) string {
	words := make([]string, len(addresses))
	for i, a := range addresses {
		words[i] = a.String()
	}
	return strings.Join(words, " ")
}
