package rawsock

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
)

// Announcer announces addresses of both families on any number of links. It
// opens a sender for a link when it is first used and keeps it. A link whose
// queue is full delays only its own announcements.
type Announcer struct {
	mu      sync.Mutex
	senders map[string]*frameSender
	closed  bool
}

// NewAnnouncer makes an Announcer without open sockets.
func NewAnnouncer() *Announcer { return &Announcer{senders: make(map[string]*frameSender)} }

// Announce sends one gratuitous ARP for each IPv4 address on the link, and one
// unsolicited neighbor advertisement for each IPv6 address. Whether those say
// that a router sends them is what the kernel says when it is asked for one of
// the addresses: whether the link forwards IPv6. Hosts that are told both by
// turns would drop their default route.
func (a *Announcer) Announce(link string, addresses []netip.Addr) error {
	sender, err := a.sender(link)
	if err != nil {
		return err
	}
	router, known := false, false
	return sender.announce(addresses, func(b []byte, mac [6]byte, address netip.Addr) ([]byte, error) {
		if address.Is4() {
			return AppendGratuitousARP(b, mac, address.As4()), nil
		}
		if !known {
			router, known = ForwardsIPv6(link), true
		}
		return appendAdvertised(b, mac, address, router)
	})
}

// ForwardsIPv6 reads the setting for the link in the calling thread's network
// namespace. Where there is none, nothing is forwarded.
func ForwardsIPv6(link string) bool {
	value, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv6/conf", filepath.Base(link), "forwarding"))
	return err == nil && !bytes.HasPrefix(value, []byte("0"))
}

func (a *Announcer) sender(link string) (*frameSender, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, fmt.Errorf("announce addresses on %s: %w", link, os.ErrClosed)
	}
	if s, ok := a.senders[link]; ok {
		return s, nil
	}
	s, err := openSender(link)
	if err != nil {
		return nil, err
	}
	a.senders[link] = s
	return s, nil
}

// Close releases all sockets.
func (a *Announcer) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	// The kernel waits for each until nobody can be using it any more.
	var closing sync.WaitGroup
	errs := make(chan error, len(a.senders))
	for _, s := range a.senders {
		closing.Go(func() { errs <- s.Close() })
	}
	closing.Wait()
	close(errs)
	clear(a.senders)
	var all error
	for err := range errs {
		all = errors.Join(all, err)
	}
	return all
}
