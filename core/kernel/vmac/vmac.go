// Package vmac makes and removes the interfaces that carry a virtual router's
// MAC address: macvlan links on the interface of the virtual router, set up so
// that exactly one MAC address answers for each virtual address.
//
// A Keeper makes what is wanted and what is there meet, as often as it is asked
// to: an interface of an earlier run is adopted with the addresses on it, one
// that does not fit is replaced, one of somebody else is never touched. What
// has to be changed on the parent is remembered in the alias of the macvlan
// link itself, so that it can be restored after a crash without a file, and is
// restored when the last virtual interface of the parent goes.
//
// The package decides nothing about addresses and sends no packet. What the
// kernel itself sends from an interface, reports of group membership, is for
// kernel/filter to stop; Join has the parent report in its stead. A Keeper may
// be used by many goroutines; its methods wait for the kernel and must be called
// in the network namespace in which its rtnl.Handle was opened, since /proc/sys
// and sockets are those of the calling thread. Read Interface first.
package vmac

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/rtnl"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// Interface is a virtual MAC interface as it is wanted.
type Interface struct {
	// Name is the interface's own name, at most 15 bytes.
	Name string
	// Parent is the interface that it sends and receives through.
	Parent string
	// VRID is the virtual router's number, 1 to 255.
	VRID uint8
	// IPv6 is whether the virtual router's family is IPv6. It makes the MAC
	// address.
	IPv6 bool
	// BothFamilies lets an IPv4 router's interface have IPv6 addresses as
	// well. Without it the kernel knows no IPv6 there.
	BothFamilies bool
	// Mode is whether virtual interfaces of one parent reach each other.
	Mode inet.MacvlanMode
}

// MAC is the address of a virtual router (RFC 9568 section 7.3).
func MAC(vrid uint8, ipv6 bool) string {
	family := 1
	if ipv6 {
		family = 2
	}
	return fmt.Sprintf("00:00:5e:00:%02x:%02x", family, vrid)
}

// Keeper makes and removes interfaces.
type Keeper struct {
	kernel *rtnl.Handle

	mu sync.Mutex
	// former remembers the settings of parents by index, for when an interface
	// was deleted by somebody else.
	former map[int]settings
	// there is where interfaces were when they were last seen to, by name.
	there map[string]indices
	// members keep parents in groups, by the name of the interface.
	members map[string]*membership
}

// indices are those of an interface and of its parent.
type indices struct{ own, parent int }

// New makes a Keeper, which does nothing by itself. The Handle stays the
// caller's.
func New(kernel *rtnl.Handle) *Keeper {
	return &Keeper{kernel: kernel, former: make(map[int]settings), there: make(map[string]indices), members: make(map[string]*membership)}
}

// Ensure is EnsureAll for one interface, and tells its index.
func (k *Keeper) Ensure(want Interface) (index int, err error) {
	if err := k.EnsureAll([]Interface{want})[0]; err != nil {
		return 0, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.there[want.Name].own, nil
}

// EnsureAll makes interfaces be there, as wanted and up. It is to be called again
// whenever one of them or its parent may have changed; where all is well it
// changes nothing. The result has an error or nil for each. A parent that does not
// exist is an error that wraps ENODEV; an interface of that name that is somebody
// else's is one that wraps EEXIST.
func (k *Keeper) EnsureAll(wanted []Interface) []error {
	k.mu.Lock()
	defer k.mu.Unlock()
	errs := make([]error, len(wanted))
	if len(wanted) == 0 {
		return errs
	}
	links, err := k.kernel.Links()
	changed := false
	for i, want := range wanted {
		if errs[i] = err; err == nil {
			var did bool
			did, errs[i] = k.make(&links, want)
			changed = changed || did
		}
	}
	if changed {
		// What was made has its index from the kernel. A list is long, so all
		// have one.
		links, err = k.kernel.Links()
	}
	for i, want := range wanted {
		if errs[i] == nil {
			errs[i] = err
		}
		if errs[i] == nil {
			errs[i] = k.adopt(links, want)
		}
		if errs[i] != nil {
			errs[i] = fmt.Errorf("set up virtual interface %s on %s: %w", want.Name, want.Parent, errs[i])
		}
	}
	return errs
}

// make has an interface be there in place of one that does not fit, and tells
// whether the links are not those of the list any more.
func (k *Keeper) make(links *[]rtnl.Link, want Interface) (changed bool, err error) {
	if want.VRID == 0 {
		return false, errors.New("a virtual router's number is 1 to 255")
	}
	parent, ok := byName(*links, want.Parent)
	if !ok {
		return false, fmt.Errorf("interface %s: %w", want.Parent, unix.ENODEV)
	}
	if have, ok := byName(*links, want.Name); ok {
		switch {
		case !own(have) && !(blank(have) && fits(have, want, parent)):
			return false, fmt.Errorf("%w: it is not an interface that halo made", unix.EEXIST)
		case fits(have, want, parent):
			return false, nil
		}
		if err := k.remove(*links, have); err != nil {
			return false, err
		}
		*links = without(*links, have.Index)
	}
	before, err := k.formerSettings(*links, parent)
	if err != nil {
		return true, err
	}
	k.former[parent.Index] = before
	return true, k.kernel.AddMacvlan(inet.Macvlan{
		Name: want.Name, Parent: want.Parent, MAC: MAC(want.VRID, want.IPv6), Mode: want.Mode, Alias: before.alias(),
	})
}

// adopt sets up an interface that is there.
func (k *Keeper) adopt(links []rtnl.Link, want Interface) error {
	parent, ok := byName(links, want.Parent)
	if !ok {
		return fmt.Errorf("interface %s: %w", want.Parent, unix.ENODEV)
	}
	have, ok := byName(links, want.Name)
	if !ok {
		return fmt.Errorf("interface %s, just made: %w", want.Name, unix.ENODEV)
	}
	before, err := k.formerSettings(links, parent)
	if err != nil {
		return err
	}
	k.former[parent.Index], k.there[want.Name] = before, indices{have.Index, parent.Index}
	return k.configure(have, parent, links, want, before)
}

// configure sets everything that an interface needs, in an order in which it
// neither answers for what it should not nor makes addresses of its own, and
// puts it up last.
func (k *Keeper) configure(have, parent rtnl.Link, links []rtnl.Link, want Interface, before settings) error {
	change := k.differences(have, parent, links, before)
	present, err := k.kernel.IPv4Settings(have.Index)
	if err != nil {
		return err
	}
	wanted, err := interfaceSettings()
	if err != nil {
		return err
	}
	onParent, err := k.kernel.IPv4Settings(parent.Index)
	if err != nil {
		return err
	}
	// What comes to the virtual MAC address is forwarded where the parent would
	// (RFC 9568 section 6.4.3).
	wanted[rtnl.Forwarding] = onParent[rtnl.Forwarding]
	change.IPv4 = missing(present, wanted)
	if err := k.set(have, change); err != nil {
		return err
	}
	if err := setIPv6(want); err != nil {
		return err
	}
	if err := k.set(parent, rtnl.LinkChange{IPv4: tooLow(onParent, parentSettings())}); err != nil {
		return err
	}
	if !have.AdminUp {
		return k.set(have, rtnl.LinkChange{Up: inet.Some(true)})
	}
	return nil
}

// differences are what an interface takes over from its parent: it has the same
// group, belongs to the same VRF, and its packets are no larger.
func (k *Keeper) differences(have, parent rtnl.Link, links []rtnl.Link, before settings) rtnl.LinkChange {
	var change rtnl.LinkChange
	if alias := before.alias(); have.Alias != alias {
		change.Alias = inet.Some(alias)
	}
	if have.MTU != parent.MTU {
		change.MTU = inet.Some(parent.MTU)
	}
	if have.Group != parent.Group {
		change.Group = inet.Some(parent.Group)
	}
	if vrf := vrfOf(links, parent); vrf != 0 && have.Master != vrf {
		change.Master = inet.Some(vrf)
	}
	return change
}

// set changes a link, unless there is nothing to change.
func (k *Keeper) set(link rtnl.Link, change rtnl.LinkChange) error {
	if len(change.IPv4) == 0 && !change.Up.Set && !change.Alias.Set && !change.MTU.Set && !change.Group.Set && !change.Master.Set {
		return nil
	}
	if err := k.kernel.SetLink(link.Index, change); err != nil {
		return fmt.Errorf("interface %s: %w", link.Name, err)
	}
	return nil
}

// Remove deletes an interface that halo made, with all addresses on it, and
// restores what was changed on its parent when it was the last one there. What
// is missing counts as removed; what is somebody else's stays.
func (k *Keeper) Remove(name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.leave(name)
	links, err := k.kernel.Links()
	if err == nil {
		if have, ok := byName(links, name); ok && own(have) {
			err = k.remove(links, have)
		} else if !ok {
			err = k.restoreOrphans(links)
		}
	}
	if err != nil {
		return fmt.Errorf("remove virtual interface %s: %w", name, err)
	}
	return nil
}

// remove deletes an interface. The parent comes first: what is to be restored
// there stands in the interface's alias.
func (k *Keeper) remove(links []rtnl.Link, have rtnl.Link) error {
	last := true
	for _, l := range links {
		if l.Index != have.Index && own(l) && l.Parent == have.Parent {
			last = false
		}
	}
	if before, ok := parseAlias(have.Alias); last && ok {
		if err := k.restore(have.Parent, before); err != nil {
			return err
		}
	}
	return k.kernel.DelLink(have.Index)
}

// restoreOrphans restores parents whose virtual interfaces somebody else has
// deleted.
func (k *Keeper) restoreOrphans(links []rtnl.Link) error {
	used := make(map[int]bool)
	for _, l := range links {
		used[l.Parent] = used[l.Parent] || own(l)
	}
	var failed []error
	for index, before := range k.former {
		if !used[index] {
			failed = append(failed, k.restore(index, before))
		}
	}
	return errors.Join(failed...)
}

// restore puts back what a parent had before, except what somebody else has
// changed since. A parent that is gone needs nothing.
func (k *Keeper) restore(parent int, before settings) error {
	delete(k.former, parent)
	present, err := k.kernel.IPv4Settings(parent)
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	if err != nil {
		return err
	}
	back := make(map[rtnl.IPv4Setting]uint32)
	for setting, former := range before.byName() {
		if ours := parentSettings()[setting]; present[setting] == ours && former != ours {
			back[setting] = former
		}
	}
	if len(back) == 0 {
		return nil
	}
	if err := k.kernel.SetLink(parent, rtnl.LinkChange{IPv4: back}); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("restore settings of interface %d: %w", parent, err)
	}
	return nil
}

// Sweep removes all interfaces that halo made, now or in an earlier run, but those
// to be kept, and tells their names. It is Remove for each, and for those that
// somebody else has deleted.
func (k *Keeper) Sweep(keep func(name string) bool) (removed []string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	links, err := k.kernel.Links()
	if err != nil {
		return nil, fmt.Errorf("sweep virtual interfaces: %w", err)
	}
	var gone []int
	var stay []rtnl.Link
	former := make(map[int]settings)
	for _, l := range links {
		if !own(l) || keep(l.Name) {
			stay = append(stay, l)
			continue
		}
		gone, removed = append(gone, l.Index), append(removed, l.Name)
		former[l.Parent], _ = parseAlias(l.Alias)
	}
	// The parents come first: what is to be restored there stands in the aliases.
	for parent, before := range former {
		if !slices.ContainsFunc(stay, func(l rtnl.Link) bool { return own(l) && l.Parent == parent }) {
			err = errors.Join(err, k.restore(parent, before))
		}
	}
	if err == nil {
		err = k.kernel.DelLinks(gone)
	}
	if err != nil {
		return nil, fmt.Errorf("remove virtual interfaces %s: %w", strings.Join(removed, ", "), err)
	}
	for name := range k.members {
		if !keep(name) {
			k.leave(name)
		}
	}
	return removed, k.restoreOrphans(stay)
}

// formerSettings are what a parent had before its first virtual interface: as
// the interfaces that are there remember it, as the Keeper does, or as it is.
func (k *Keeper) formerSettings(links []rtnl.Link, parent rtnl.Link) (settings, error) {
	for _, l := range links {
		if before, ok := parseAlias(l.Alias); ok && own(l) && l.Parent == parent.Index {
			return before, nil
		}
	}
	if before, ok := k.former[parent.Index]; ok {
		return before, nil
	}
	present, err := k.kernel.IPv4Settings(parent.Index)
	return settings{present[rtnl.ARPIgnore], present[rtnl.ARPFilter], present[rtnl.ARPAnnounce]}, err
}

// Find looks for a wanted interface among links: it is there if halo made it, it
// needs not be made anew and is set up. Its parent is the other result.
func Find(links []rtnl.Link, want Interface) (have, parent rtnl.Link, ok bool) {
	parent, ok = byName(links, want.Parent)
	if !ok {
		return have, parent, false
	}
	have, ok = byName(links, want.Name)
	return have, parent, ok && own(have) && fits(have, want, parent) && have.AdminUp
}

// Settled tells whether Ensure would find nothing to do, as far as links show it.
func Settled(links []rtnl.Link, want Interface) bool {
	have, parent, ok := Find(links, want)
	return ok && have.MTU == parent.MTU && have.Group == parent.Group && vrfOf(links, have) == vrfOf(links, parent)
}

// vrfOf is the index of the VRF that a link belongs to, 0 for none.
func vrfOf(links []rtnl.Link, l rtnl.Link) int {
	for _, vrf := range links {
		if vrf.Index == l.Master && vrf.Kind == "vrf" {
			return vrf.Index
		}
	}
	return 0
}

// own tells whether halo made a link: the alias says so, and the rest agrees.
func own(l rtnl.Link) bool {
	_, ok := parseAlias(l.Alias)
	return ok && virtual(l)
}

// blank tells whether a link may be one that a process was about to make when
// it was killed: nobody uses it, and nobody says that it is theirs.
func blank(l rtnl.Link) bool {
	return virtual(l) && l.Alias == "" && !l.AdminUp && len(l.Addresses) == 0
}

// virtual tells whether a link is a macvlan with a virtual router's address.
func virtual(l rtnl.Link) bool {
	return l.Kind == "macvlan" && (strings.HasPrefix(l.MAC, "00:00:5e:00:01:") || strings.HasPrefix(l.MAC, "00:00:5e:00:02:"))
}

// fits tells whether a link needs not be made anew.
func fits(l rtnl.Link, want Interface, parent rtnl.Link) bool {
	return virtual(l) && l.Parent == parent.Index && l.MAC == MAC(want.VRID, want.IPv6) && l.KnownMode && l.Mode == want.Mode
}

func byName(links []rtnl.Link, name string) (rtnl.Link, bool) {
	for _, l := range links {
		if l.Name == name {
			return l, true
		}
	}
	return rtnl.Link{}, false
}

func without(links []rtnl.Link, index int) []rtnl.Link {
	var rest []rtnl.Link
	for _, l := range links {
		if l.Index != index {
			rest = append(rest, l)
		}
	}
	return rest
}
