package rawsock

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

const (
	// conflictPause is the shortest time between two reports of one claim.
	conflictPause = time.Second
	// conflictBurst is how many reports there are at most in that time, whatever
	// the claims.
	conflictBurst = 16
	// conflictsKept is how many claims are told apart.
	conflictsKept = 256
	// paceFrames in paceTime is how many frames are looked at: somebody who
	// sends more is not to get more of the processor.
	paceFrames = 64
	paceTime   = 10 * time.Millisecond
	// conflictBuffer is how many bytes may wait on a socket, as the kernel
	// counts them. What is lost will be claimed again.
	conflictBuffer = 64 << 10
)

// Conflict tells that somebody else claims an address of ours.
type Conflict struct {
	Address netip.Addr
	// MAC is where he says that it is.
	MAC [6]byte
	At  time.Time
	// Packets is in how many packets he said so since the last report.
	Packets int
}

// Watched is what a ConflictWatch looks for.
type Watched struct {
	// Index is the link's.
	Index int
	// Own are hardware addresses of this machine, beside the link's own, at
	// which the addresses may be: those of virtual MAC links.
	Own [][6]byte
	// Addresses are those to be watched, of both families; none is off.
	Addresses []netip.Addr
}

// ConflictWatch listens on one link for ARP packets and neighbor advertisements
// that claim an address of ours for another hardware address. The kernel drops
// all others; what this machine sends is not heard.
type ConflictWatch struct {
	link      string
	conflicts chan<- Conflict
	arp, na   packetReader
	readers   sync.WaitGroup

	mu      sync.Mutex
	watched map[netip.Addr]bool
	own     [][6]byte
	seen    map[claim]*sighting
	// since and reports are for conflictBurst.
	since   time.Time
	reports int
}

// sighting is what is known of one claim.
type sighting struct {
	reported time.Time
	packets  int
}

// packetReader is a packet socket with what makes sense of its frames.
type packetReader struct {
	file     *os.File
	raw      syscall.RawConn
	protocol uint16
	filter   func([]netip.Addr) []bpf.Instruction
	parse    func(frame []byte) (claim, bool)
}

// OpenConflictWatch opens a watch in the calling thread's network namespace, which
// is off until Watch. The link need not exist yet. Reports are put into the
// channel without waiting; what does not fit is told with the next packet.
func OpenConflictWatch(link string, conflicts chan<- Conflict) (*ConflictWatch, error) {
	w := &ConflictWatch{
		link: link, conflicts: conflicts, seen: make(map[claim]*sighting),
		arp: packetReader{protocol: unix.ETH_P_ARP, filter: arpFilter, parse: parseARP},
		na:  packetReader{protocol: unix.ETH_P_IPV6, filter: naFilter, parse: parseNA},
	}
	for _, r := range []*packetReader{&w.arp, &w.na} {
		if err := r.open(link); err != nil {
			_ = w.Close() // The error that counts is this one.
			return nil, err
		}
		w.readers.Go(func() { w.read(r) })
	}
	return w, nil
}

func (r *packetReader) open(link string) (err error) {
	if r.file, r.raw, err = openPacket("watching for address conflicts", link); err != nil {
		return err
	}
	return onDescriptor(r.raw, func(fd int) error {
		return os.NewSyscallError("set SO_RCVBUF", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, conflictBuffer))
	})
}

// Watch replaces what is looked for. It may take the kernel some milliseconds. A
// link that is deleted ends the watch until the next Watch.
func (w *ConflictWatch) Watch(what Watched) error {
	addresses := slices.Clone(what.Addresses)
	watched := make(map[netip.Addr]bool, len(addresses))
	for _, a := range addresses {
		watched[a] = true
	}
	w.mu.Lock()
	w.watched, w.own = watched, slices.Clone(what.Own)
	for c := range w.seen {
		if !watched[c.address] {
			delete(w.seen, c)
		}
	}
	w.mu.Unlock()
	ipv6 := slices.DeleteFunc(slices.Clone(addresses), func(a netip.Addr) bool { return !wire.IPv6.Has(a) })
	ipv4 := slices.DeleteFunc(addresses, func(a netip.Addr) bool { return !a.Is4() })
	if err := errors.Join(w.arp.watch(what.Index, ipv4), w.na.watch(what.Index, ipv6)); err != nil {
		return fmt.Errorf("watch for address conflicts on %s: %w", w.link, err)
	}
	return nil
}

// watch changes the filter and then the link, so that nothing passes that is not
// looked for.
func (r *packetReader) watch(index int, addresses []netip.Addr) error {
	return onDescriptor(r.raw, func(fd int) error {
		if err := attach(fd, r.filter(addresses)); err != nil || len(addresses) == 0 {
			return err
		}
		to := &unix.SockaddrLinklayer{Ifindex: index, Protocol: networkOrder(r.protocol)}
		return os.NewSyscallError("bind to link", unix.Bind(fd, to))
	})
}

// Close ends the watch. Nothing is reported any more when it returns.
func (w *ConflictWatch) Close() error {
	var errs []error
	for _, r := range []*packetReader{&w.arp, &w.na} {
		if r.file != nil {
			errs = append(errs, r.file.Close())
		}
	}
	w.readers.Wait()
	return errors.Join(errs...)
}

// read looks at frames until the socket is closed.
func (w *ConflictWatch) read(r *packetReader) {
	frame := make([]byte, claimLength)
	began, frames := time.Now(), 0
	for {
		n, err := r.file.Read(frame)
		switch {
		case errors.Is(err, os.ErrClosed):
			return
		case err != nil:
			// The link went down, of which the kernel tells once.
			time.Sleep(paceTime)
		default:
			w.look(time.Now(), r, frame[:n])
		}
		if frames++; frames >= paceFrames {
			time.Sleep(time.Until(began.Add(paceTime)))
			began, frames = time.Now(), 0
		}
	}
}

// look judges one frame.
func (w *ConflictWatch) look(now time.Time, r *packetReader, frame []byte) {
	c, ok := r.parse(frame)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.watched[c.address] || slices.Contains(w.own, c.mac) || r.isOwn(c.mac) {
		return
	}
	w.saw(now, c)
}

// isOwn asks for the link's hardware address, which may change.
func (r *packetReader) isOwn(mac [6]byte) bool {
	own := false
	_ = onDescriptor(r.raw, func(fd int) error {
		present, err := hardwareAddress(fd)
		own = err == nil && present == mac
		return nil
	})
	return own
}

// saw reports a claim unless that was done a moment ago.
func (w *ConflictWatch) saw(now time.Time, c claim) {
	s := w.seen[c]
	if s == nil {
		if len(w.seen) >= conflictsKept {
			w.forget(now)
		}
		s = &sighting{}
		w.seen[c] = s
	}
	s.packets++
	if now.Sub(w.since) >= conflictPause {
		w.since, w.reports = now, 0
	}
	if now.Sub(s.reported) < conflictPause || w.reports >= conflictBurst {
		return
	}
	select {
	case w.conflicts <- Conflict{Address: c.address, MAC: c.mac, At: now, Packets: s.packets}:
		s.reported, s.packets = now, 0
		w.reports++
	default:
	}
}

// forget makes room for a claim: of those that were not reported in the last
// pause, or else of all.
func (w *ConflictWatch) forget(now time.Time) {
	for c, s := range w.seen {
		if now.Sub(s.reported) >= conflictPause {
			delete(w.seen, c)
		}
	}
	if len(w.seen) >= conflictsKept {
		clear(w.seen)
	}
}
