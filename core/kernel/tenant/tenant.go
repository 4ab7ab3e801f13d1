// Package tenant tells the halos that work in one network namespace of each
// other.
//
// What the kernel marks as halo's does not say which halo's. So before one removes
// what an earlier run seems to have left, it asks whether there is another to whom
// it may belong. Everybody holds a socket with a name that the namespace knows;
// the kernel closes it with the process, however that ends. Nothing is ever sent.
//
// The daemon enters at start, before it touches anything, and asks once. Read
// Tenant.
package tenant

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// prefix is how the names of all tenants begin. They are abstract (unix(7)): they
// belong to the network namespace and to no file system.
const prefix = "@halo-tenant-"

// table lists the sockets of the calling thread's namespace.
const table = "/proc/thread-self/net/unix"

// Tenant is one halo's presence in a network namespace.
type Tenant struct {
	fd   int
	name string
}

// Enter makes this halo known in the calling thread's namespace.
func Enter() (*Tenant, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("open the socket that others know halo by", err)
	}
	t := &Tenant{fd: fd, name: prefix + rand.Text()}
	if err = unix.Bind(fd, &unix.SockaddrUnix{Name: t.name}); err == nil {
		err = unix.Listen(fd, unix.SOMAXCONN)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("name the socket that others know halo by", err)
	}
	return t, nil
}

// Close makes it unknown again.
func (t *Tenant) Close() error { return os.NewSyscallError("close", unix.Close(t.fd)) }

// Alone tells whether no other halo works in the calling thread's namespace. Only
// root and this process's own user are believed to be one.
func (t *Tenant) Alone() (bool, error) {
	file, err := os.Open(table)
	if err != nil {
		return false, fmt.Errorf("look for other halos: %w", err)
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		name := fields[len(fields)-1]
		if !strings.HasPrefix(name, prefix) || name == t.name {
			continue
		}
		if is, err := genuine(name); is || err != nil {
			return false, err
		}
	}
	if err := lines.Err(); err != nil {
		return false, fmt.Errorf("look for other halos: %w", err)
	}
	return true, nil
}

// genuine tells whether a name is held by somebody who may be halo. Anybody can
// hold a name.
func genuine(name string) (bool, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return false, os.NewSyscallError("look for other halos", err)
	}
	defer func() { _ = unix.Close(fd) }()
	switch err := unix.Connect(fd, &unix.SockaddrUnix{Name: name}); {
	case errors.Is(err, unix.ECONNREFUSED):
		return false, nil // It has ended meanwhile.
	case errors.Is(err, unix.EAGAIN):
		return true, nil // Many ask at once, so it is worth asking.
	case err != nil:
		return false, os.NewSyscallError("look for other halos", err)
	}
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return false, os.NewSyscallError("look for other halos", err)
	}
	return peer.Uid == 0 || int(peer.Uid) == os.Geteuid(), nil
}
