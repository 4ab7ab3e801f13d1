package rtnl

import (
	"context"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Monitor keeps a View of links and addresses up to date.
type Monitor struct {
	feed
	*stream[View, Removal]
	table table
}

// Subscription is one subscriber's place in a Monitor's stream of views. A slow
// one skips views and delays nobody.
type Subscription = subscriber[View, Removal]

// Watch prepares a Monitor for the calling thread's namespace. From here on no
// change is missed; Run delivers them.
func Watch() (*Monitor, error) { return watch(receiveBuffer) }

func watch(buffer int) (*Monitor, error) {
	f, err := newFeed("links and addresses", buffer,
		unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return nil, err
	}
	return &Monitor{feed: f, stream: newStream[View, Removal](), table: newTable()}, nil
}

// Run follows the kernel until ctx ends, and then returns nil. It survives
// lost notifications and interrupted dumps; it returns an error only when the
// socket itself is beyond use.
func (m *Monitor) Run(ctx context.Context) error { return m.run(ctx, linkFollower{m}) }

// linkFollower is the Monitor as its feed sees it.
type linkFollower struct{ *Monitor }

func (m linkFollower) apply(h netlink.Header, body []byte) error { return m.table.apply(h, body) }
func (m linkFollower) doubtful() bool                            { return false }

func (m linkFollower) resync(s *socket) error {
	links, err := s.dumpLinks()
	if err == nil {
		m.table.replace(links)
	}
	return err
}

func (m linkFollower) overrun() {
	m.table.overruns++
	m.table.changed = true
}

func (m linkFollower) publish() {
	if view, removed := m.table.snapshot(); view != nil {
		m.stream.publish(view, removed)
	}
}
