package daemon

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/halo-ha/halo/core/config"
	"github.com/halo-ha/halo/core/kernel/filter"
	"github.com/halo-ha/halo/core/kernel/rtnl"
	"github.com/halo-ha/halo/core/kernel/vmac"
	"github.com/halo-ha/halo/core/vrrp/wire"
)

// virtualLinks keeps the links with virtual MAC addresses, and the packet filter,
// as the configuration wants them. It has a goroutine of its own, which waits for
// the kernel; everybody else leaves notes. A virtual router waits until its link is
// there and set up; where that fails, or the link goes, it is in fault like any
// other whose interface is missing.
type virtualLinks struct {
	keeper *vmac.Keeper
	table  *filter.Table
	logger *slog.Logger
	wake   chan struct{}
	// changed is called when other things fail than did. It may wait.
	changed func()

	mu      sync.Mutex
	applied bool // without a configuration nobody knows what an earlier run's is worth
	wanted  map[string]virtualLink
	closed  []netip.Addr
	open    []filter.Service
	// used counts the speakers that still speak through a link, or for it. It
	// goes behind them: they have a goodbye to say.
	used map[string]int
	// failed is why a link is not as it should be, and under names that no link
	// can have, the filter or what is left of links.
	failed map[string]error

	// The goroutine's own: the links that are or may be there, whether those of an
	// earlier run have been removed, and whether there is nothing and nothing to
	// do: most have no use for any of this, and it costs them nothing.
	made  map[string]bool
	swept bool
	idle  bool
}

// virtualLink is a link that is wanted.
type virtualLink struct {
	vmac.Interface
	instance string
	// groups are those that its parent reports for it.
	groups []netip.Addr
}

// What can fail beside a link.
const (
	filtering = "/filter"
	clearing  = "/left"
)

// What somebody else does to the filter, or to settings, is put right in this
// time. What fails is tried again in that of a retry.
const (
	auditVirtual = 10 * time.Second
	retryVirtual = time.Second
)

func newVirtualLinks(kernel *rtnl.Handle, changed func(), logger *slog.Logger) *virtualLinks {
	return &virtualLinks{
		keeper: vmac.New(kernel), table: filter.New(), logger: logger, wake: make(chan struct{}, 1), changed: changed,
		used: map[string]int{}, failed: map[string]error{}, made: map[string]bool{},
	}
}

// apply says what is wanted from now on.
func (v *virtualLinks) apply(next *electorate) {
	wanted := make(map[string]virtualLink)
	var closed []netip.Addr
	for _, r := range next.routers {
		if r.virtual.Name != "" {
			wanted[r.virtual.Name] = virtualLink{r.virtual, r.instance.Name, r.groups()}
		}
		if !r.accepts() {
			for _, a := range r.located() {
				closed = append(closed, a.Addr)
			}
		}
	}
	v.mu.Lock()
	v.applied, v.wanted, v.closed, v.open = true, wanted, closed, servicesOf(next.generation)
	v.mu.Unlock()
	v.poke()
}

// servicesOf are the services that may be balanced to this machine itself.
func servicesOf(g *config.Generation) []filter.Service {
	protocols := map[string]filter.Protocol{"tcp": filter.TCP, "udp": filter.UDP, "sctp": filter.SCTP}
	list := make([]filter.Service, 0, len(g.VirtualServers))
	for _, s := range g.VirtualServers {
		list = append(list, filter.Service{Protocol: protocols[s.Protocol], AddrPort: s.Address})
	}
	return list
}

// linksChanged looks whether a link needs to be seen to.
func (v *virtualLinks) linksChanged(view *rtnl.View) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, w := range v.wanted {
		if !vmac.Settled(view.Links, w.Interface) {
			v.poke()
			return
		}
	}
}

// hold says that a speaker needs a link, letGo that it has ended.
func (v *virtualLinks) hold(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.used[name]++
}

func (v *virtualLinks) letGo(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.used[name]--; v.used[name] <= 0 {
		delete(v.used, name)
		v.poke()
	}
}

func (v *virtualLinks) poke() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// run sees to the links until ctx ends, and then removes them and the filter.
func (v *virtualLinks) run(ctx context.Context) error {
	defer v.keeper.Close()
	audit := time.NewTimer(auditVirtual)
	defer audit.Stop()
	for {
		select {
		case <-ctx.Done():
			return v.remove()
		case <-v.wake:
		case <-audit.C:
		}
		next := auditVirtual
		if !v.tend() {
			next = retryVirtual
		}
		audit.Reset(next)
	}
}

// tend makes everything be as it is wanted, and tells whether it is.
func (v *virtualLinks) tend() (fine bool) {
	v.mu.Lock()
	if !v.applied {
		v.mu.Unlock()
		return true
	}
	wanted, used := v.wanted, maps.Clone(v.used)
	rules := filter.Wanted{Closed: v.closed, Open: v.open}
	v.mu.Unlock()
	unused := len(wanted) == 0 && len(used) == 0 && rules.Empty()
	if unused && v.idle {
		return true
	}
	for name := range wanted {
		v.made[name] = true
	}

	// Before any link is there, and until it is gone: joining and leaving groups
	// is what the kernel would tell the network.
	rules.Silent = slices.Collect(maps.Keys(v.made))
	failed := map[string]error{}
	v.enforce(rules, failed)
	v.ensure(wanted, failed)
	removed := v.clear(func(name string) bool { return wanted[name].Name != "" || used[name] > 0 }, failed)
	if removed {
		rules.Silent = slices.Collect(maps.Keys(v.made))
		v.enforce(rules, failed)
	}
	v.tell(failed)
	v.idle = unused && len(failed) == 0
	return len(failed) == 0
}

// ensure makes the links that are wanted be there.
func (v *virtualLinks) ensure(wanted map[string]virtualLink, failed map[string]error) {
	names := slices.Sorted(maps.Keys(wanted))
	links := make([]vmac.Interface, len(names))
	for i, name := range names {
		links[i] = wanted[name].Interface
	}
	for i, err := range v.keeper.EnsureAll(links) {
		if err == nil {
			err = v.keeper.Join(names[i], wanted[names[i]].groups)
		}
		if err != nil {
			failed[names[i]] = err
		}
	}
}

// clear removes the links that nobody wants or uses any more, those of an earlier
// run the first time, and tells whether there were any.
func (v *virtualLinks) clear(stays func(name string) bool, failed map[string]error) (removed bool) {
	gone := slices.DeleteFunc(slices.Collect(maps.Keys(v.made)), stays)
	if len(gone) == 0 && v.swept {
		return false
	}
	names, err := v.keeper.Sweep(stays)
	for _, name := range names {
		if !v.made[name] {
			v.logger.Info("link of an earlier run removed", "link", name)
		}
	}
	if err != nil {
		failed[clearing] = err
		return false
	}
	for _, name := range gone {
		delete(v.made, name)
	}
	v.swept = true
	return len(gone) > 0
}

// enforce sets the filter. Where nothing is to be filtered, nobody misses a
// packet filter that the kernel does not have.
func (v *virtualLinks) enforce(rules filter.Wanted, failed map[string]error) {
	switch changed, err := v.table.Apply(rules); {
	case err != nil && !rules.Empty():
		failed[filtering] = err
	case changed:
		v.logger.Info("packet filter set", "closed_addresses", len(rules.Closed), "silent_links", len(rules.Silent))
	}
}

// tell logs what fails now and did not before.
func (v *virtualLinks) tell(failed map[string]error) {
	v.mu.Lock()
	news := len(failed) != len(v.failed)
	for name, err := range failed {
		if before := v.failed[name]; before == nil || before.Error() != err.Error() {
			news = true
			v.logger.Error("virtual MAC addresses or accept are not as configured", "error", err)
		}
	}
	v.failed = failed
	v.mu.Unlock()
	if news {
		v.changed()
	}
}

// hasFailed tells whether the last attempt to make a link was in vain.
func (v *virtualLinks) hasFailed(name string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.failed[name] != nil
}

// remove takes everything away at the end.
func (v *virtualLinks) remove() error {
	if v.idle {
		return nil
	}
	_, err := v.keeper.Sweep(func(string) bool { return false })
	_, filterErr := v.table.Apply(filter.Wanted{})
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.closed) == 0 && len(v.made) == 0 {
		filterErr = nil
	}
	return errors.Join(err, filterErr)
}

// problems are sentences for people on what is not as it should be.
func (v *virtualLinks) problems() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	sentences := make([]string, 0, len(v.failed))
	for name, err := range v.failed {
		sentence := err.Error()
		if w, ok := v.wanted[name]; ok {
			sentence = "vrrp_instance " + w.instance + ": " + sentence
		}
		sentences = append(sentences, sentence)
	}
	slices.Sort(sentences)
	return sentences
}

// virtualOf is the link of a router with a virtual MAC address, the zero value
// without one.
func virtualOf(i *config.Instance, family wire.Family) vmac.Interface {
	if i.VMAC == nil {
		return vmac.Interface{}
	}
	link := vmac.Interface{Name: i.VMAC.Name, Parent: i.Interface, VRID: i.VRID}
	if family == wire.IPv6 {
		link.Name, link.IPv6 = i.VMAC.IPv6Name, true
	}
	return link
}

// groups are what the parent of a virtual link has to belong to: the group of
// the advertisements, and those in which IPv6 addresses are asked for.
func (r *router) groups() []netip.Addr {
	var groups []netip.Addr
	switch {
	case r.unicast != nil:
	case r.family == wire.IPv6:
		groups = append(groups, wire.GroupIPv6())
	default:
		groups = append(groups, wire.GroupIPv4())
	}
	for _, a := range r.located() {
		if a.iface == r.virtual.Name && a.Is6() {
			groups = append(groups, vmac.SolicitedNode(a.Addr))
		}
	}
	return groups
}

// accepts tells whether packets to the addresses are taken (RFC 9568 §6.4.3,
// steps 650 and 655).
func (r *router) accepts() bool { return r.instance.Accept || r.instance.Priority == ownerPriority }
