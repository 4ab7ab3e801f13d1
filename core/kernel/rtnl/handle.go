// Package rtnl reads and changes the kernel's links and addresses over
// rtnetlink, and watches them.
//
// A Handle belongs to the network namespace in which it was opened and keeps
// no state of the kernel's: every answer is a fresh dump. Adding what is there
// and deleting what is missing both succeed, since what a caller wants is the
// state and not the change. A Monitor keeps a view of all links and addresses
// up to date by notifications, and dumps again whenever notifications may have
// been lost; a view may be behind the kernel, never wrong for good.
//
// The package decides nothing about addresses, knows nothing of VRRP and never
// touches anything but what it is told to. The one exception is stated at
// DelAddresses: a link's promote_secondaries setting, without which the kernel
// would delete addresses nobody asked to delete.
//
// A Handle may be used by many goroutines; they are served one after the
// other. The kernel carries out a request within the system call, so requests
// take no context: there is nothing to cancel. Read Handle, then Monitor.
package rtnl

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Handle is an open connection to the kernel's rtnetlink in one namespace.
// Reading and changing have a socket each, so that a change never waits for
// somebody's long list.
type Handle struct {
	changing sync.Mutex
	changes  *socket
	reading  sync.Mutex
	reads    *socket
}

// Open connects to the network namespace of the calling thread.
func Open() (*Handle, error) {
	changes, err := dial()
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	reads, err := dial()
	if err != nil {
		_ = changes.close()
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	return &Handle{changes: changes, reads: reads}, nil
}

// Close ends the connection. What was changed through it stays.
func (h *Handle) Close() error { return errors.Join(h.changes.close(), h.reads.close()) }

// Link is a network interface with its addresses.
type Link struct {
	Index int
	Name  string
	// MAC is the hardware address, empty where the link has none.
	MAC string
	// Up means that the link is set up and can carry traffic: IFF_UP, and
	// IFF_RUNNING for the carrier.
	Up bool
	// Addresses are in the kernel's order, primary ones first. The slice is
	// shared and must not be changed.
	Addresses []Address
}

// Address is an address of a link.
type Address struct {
	netip.Prefix
	// Secondary means that the kernel treats the address as belonging to an
	// earlier one of the same subnet: it is not used as a source address,
	// and goes when the earlier one goes (see DelAddresses).
	Secondary bool
	// Protocol is the mark of who added the address, 0 when unmarked or on
	// kernels before 5.18. Addresses of AddAddresses carry ProtocolHalo.
	Protocol uint8
}

// ProtocolHalo marks the addresses added by halo (IFA_PROTO). The kernel only
// stores and shows it.
const ProtocolHalo = 104

// Links lists all links with all their addresses, by ascending index.
func (h *Handle) Links() ([]Link, error) {
	var links []Link
	err := h.read(func(s *socket) (err error) {
		links, err = s.dumpLinks()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	return links, nil
}

// Addresses lists the addresses of one link: all of them, and those among them
// that carry halo's mark. A link that does not exist is an error that wraps
// ENODEV. Kernels before 5.18 store no marks.
func (h *Handle) Addresses(link string) (all, marked []netip.Prefix, err error) {
	var addresses []Address
	err = h.read(func(s *socket) error {
		index, err := s.linkIndex(link)
		if err == nil {
			addresses, err = s.dumpAddresses(index)
		}
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list addresses of %s: %w", link, err)
	}
	all = make([]netip.Prefix, len(addresses))
	for i, a := range addresses {
		all[i] = a.Prefix
		if a.Protocol == ProtocolHalo {
			marked = append(marked, a.Prefix)
		}
	}
	return all, marked, nil
}

// AddAddresses adds addresses to a link: with the given prefix length, in
// global scope, without broadcast address, and usable at once, which for IPv6
// means without duplicate address detection. An address that is there already
// with the same prefix length is left as it is. Every address is tried; the
// error is the first one, with the number of the others.
func (h *Handle) AddAddresses(link string, addresses []netip.Prefix) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	index, err := h.changes.linkIndex(link)
	if err != nil {
		return fmt.Errorf("add addresses to %s: %w", link, err)
	}
	requests := make([]request, len(addresses))
	for i, p := range addresses {
		requests[i] = newAddress(index, p)
	}
	return firstError(h.changes.execute(requests), unix.EEXIST, func(i int) string {
		return fmt.Sprintf("add address %s to %s", addresses[i], link)
	})
}

// DelAddresses deletes addresses from a link. What is missing, address or
// link, counts as deleted. Every address is tried; the error is the first one,
// with the number of the others.
//
// When an IPv4 address goes, the kernel also deletes the later addresses of
// the same subnet, unless the link's promote_secondaries is set. So where an
// address that is to stay depends on one that is to go, DelAddresses sets it.
func (h *Handle) DelAddresses(link string, addresses []netip.Prefix) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	index, err := h.changes.linkIndex(link)
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete addresses from %s: %w", link, err)
	}
	var present []Address
	err = h.read(func(s *socket) (err error) {
		present, err = s.dumpAddresses(index)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete addresses from %s: %w", link, err)
	}
	going := deletionOrder(present, addresses)
	if takesOthersAlong(present, going) {
		if err := h.changes.execute([]request{promoteSecondaries(index)})[0]; err != nil {
			return fmt.Errorf("set promote_secondaries of %s, without which deleting %s would delete other addresses: %w",
				link, going[0].Prefix, explain(err))
		}
	}
	requests := make([]request, len(going))
	for i, a := range going {
		requests[i] = delAddress(index, a.Prefix)
	}
	return firstError(h.changes.execute(requests), unix.EADDRNOTAVAIL, func(i int) string {
		return fmt.Sprintf("delete address %s from %s", going[i].Prefix, link)
	})
}

// deletionOrder picks the addresses to delete out of those present, last one
// first: deleting a primary address before its secondaries would make the
// kernel promote one after the other.
func deletionOrder(present []Address, wanted []netip.Prefix) []Address {
	set := make(map[netip.Prefix]bool, len(wanted))
	for _, p := range wanted {
		set[p] = true
	}
	var going []Address
	for _, a := range slices.Backward(present) {
		if set[a.Prefix] {
			going = append(going, a)
		}
	}
	return going
}

// takesOthersAlong tells whether an address that stays is a secondary of one
// that goes.
func takesOthersAlong(present, going []Address) bool {
	leaving := make(map[netip.Prefix]bool, len(going))
	subnets := make(map[netip.Prefix]bool)
	for _, a := range going {
		leaving[a.Prefix] = true
		if !a.Secondary {
			subnets[a.Masked()] = true
		}
	}
	return slices.ContainsFunc(present, func(a Address) bool {
		return a.Secondary && !leaving[a.Prefix] && subnets[a.Masked()]
	})
}

// firstError condenses the results of a batch. The harmless errno is the one
// that says that the wanted state was there before. What a lost link takes
// along is deleted too, so ENODEV is harmless when deleting.
func firstError(results []error, harmless unix.Errno, what func(i int) string) error {
	var first error
	others := 0
	for i, err := range results {
		switch {
		case err == nil || errors.Is(err, harmless):
		case harmless == unix.EADDRNOTAVAIL && errors.Is(err, unix.ENODEV):
		case first == nil:
			first = fmt.Errorf("%s: %w", what(i), explain(err))
		default:
			others++
		}
	}
	if others > 0 {
		return fmt.Errorf("%w (and %d more)", first, others)
	}
	return first
}

// explain adds what is missing and how to grant it to an error that says no
// more than "operation not permitted". Changing addresses is the only
// privileged thing that this package does.
func explain(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w: changing addresses needs the capability CAP_NET_ADMIN; "+
			"run as root, or grant it with AmbientCapabilities=CAP_NET_ADMIN in the systemd unit "+
			"or setcap cap_net_admin+ep on the program", err)
	}
	return err
}

// readAttempts and readPause bound how long a read is repeated because the
// kernel's state changed meanwhile: a few tenths of a second.
const (
	readAttempts = 20
	readPause    = 5 * time.Millisecond
)

// read reads until the kernel calls what was read consistent. A kernel that
// never comes to rest yields the interruption as an error.
func (h *Handle) read(once func(*socket) error) error {
	var err error
	for range readAttempts {
		h.reading.Lock()
		err = once(h.reads)
		h.reading.Unlock()
		if !errors.Is(err, errDumpInterrupted) {
			break
		}
		time.Sleep(readPause) // Others may read in between.
	}
	return err
}
