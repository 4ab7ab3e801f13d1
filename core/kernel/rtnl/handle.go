// Package rtnl reads and changes the kernel's links, addresses, routes and rules
// over rtnetlink, and watches them. What they are, package inet says.
//
// A Handle belongs to the network namespace in which it was opened and keeps
// no state of the kernel's: every answer is a fresh dump. Adding what is there
// and deleting what is missing both succeed, since what a caller wants is the
// state and not the change. Many objects go to the kernel in few system calls,
// and an error says which of them failed (inet.BatchError). A Monitor keeps a view
// of all links and addresses up to date by notifications, and dumps again
// whenever notifications may have been lost; a RoutingMonitor does so for
// routes and rules. A view may be behind the kernel, never wrong for good.
//
// The package decides nothing about addresses, knows nothing of VRRP and never
// touches anything but what it is told to. The one exception is stated at
// DelAddresses: a link's promote_secondaries setting, without which the kernel
// would delete addresses nobody asked to delete. What it adds carries halo's
// mark, inet.ProtocolHalo, wherever the kernel stores one.
//
// A Handle may be used by many goroutines; they are served one after the
// other. The kernel carries out a request within the system call, so requests
// take no context: there is nothing to cancel. Read Handle, then Monitor.
package rtnl

import (
	"errors"
	"fmt"
	"sync"
	"time"
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
