package kerneltest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// namespaceDir is where named namespaces are mounted, the place that
// `ip netns` uses too, so that a person can look into a running test.
const namespaceDir = "/run/netns"

// threadNamespace is the network namespace of the calling thread. The name
// /proc/self/ns/net would be that of the process's first thread.
const threadNamespace = "/proc/thread-self/ns/net"

// Namespace is a network namespace that lives as long as its test. Its
// methods may be called from any goroutine. Those without an error end the
// test when they fail, so they belong in the test's own goroutine.
type Namespace struct {
	tb     testing.TB
	name   string
	fd     int // an open descriptor of the namespace, closed by Cleanup
	handle *netlink.Handle
}

// NewNamespace makes an empty namespace with its loopback interface up. The
// label is for the reader; the name is made unique with the process id.
func NewNamespace(tb testing.TB, label string) *Namespace {
	tb.Helper()
	RequireRoot(tb)
	if err := os.MkdirAll(namespaceDir, 0o755); err != nil {
		tb.Fatalf("make namespace directory: %v", err)
	}
	sweepNamespaces()
	mountPoint, err := os.CreateTemp(namespaceDir, fmt.Sprintf("halo-%d-%s-*", os.Getpid(), label))
	if err != nil {
		tb.Fatalf("make namespace %s: %v", label, err)
	}
	path := mountPoint.Name()
	_ = mountPoint.Close() // Empty, and nothing was written.

	n := &Namespace{tb: tb, name: filepath.Base(path), fd: -1}
	// Registered first, so that it runs last: what later steps of the test
	// clean up still finds the namespace.
	tb.Cleanup(n.destroy)
	err = onThrowawayThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		if err := unix.Mount(threadNamespace, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount: %w", err)
		}
		n.fd, err = unix.Open(threadNamespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	if err == nil {
		n.handle, err = netlink.NewHandleAt(netns.NsHandle(n.fd), unix.NETLINK_ROUTE)
	}
	if err != nil {
		tb.Fatalf("make namespace %s: %v", n.name, err)
	}
	n.SetUp("lo")
	return n
}

// Name is the name under which `ip netns exec` finds the namespace.
func (n *Namespace) Name() string { return n.name }

// Path is the file that stands for the namespace.
func (n *Namespace) Path() string { return filepath.Join(namespaceDir, n.name) }

// FD is an open descriptor of the namespace, valid until the test ends.
func (n *Namespace) FD() int { return n.fd }

// Do runs f in the namespace and returns its error. Sockets that f opens stay
// in the namespace for ever; goroutines that f starts are not in it. Paths
// below /proc/net mean the first thread's namespace: read /proc/thread-self/net.
func (n *Namespace) Do(f func() error) error {
	result := make(chan error, 1)
	go func() {
		err := errors.New("function did not return")
		runtime.LockOSThread()
		home, openErr := unix.Open(threadNamespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		defer func() {
			// A thread that cannot go home stays locked and dies with this
			// goroutine, so that no other goroutine ever runs on it.
			if openErr == nil {
				if unix.Setns(home, unix.CLONE_NEWNET) == nil {
					runtime.UnlockOSThread()
				}
				_ = unix.Close(home)
			}
			result <- err
		}()
		if openErr != nil {
			err = fmt.Errorf("open own namespace: %w", openErr)
			return
		}
		if setErr := unix.Setns(n.fd, unix.CLONE_NEWNET); setErr != nil {
			err = fmt.Errorf("enter namespace %s: %w", n.name, setErr)
			return
		}
		err = f()
	}()
	return <-result
}

// Command prepares a program that ends with the test. It must be started
// through Start, Run or Output: only those put it into the namespace.
func (n *Namespace) Command(name string, args ...string) *exec.Cmd {
	return exec.CommandContext(n.tb.Context(), ToolPath(name), args...)
}

// Start starts cmd inside the namespace. The child inherits the namespace of
// the thread that forks it.
func (n *Namespace) Start(cmd *exec.Cmd) error { return n.Do(cmd.Start) }

// Run starts cmd inside the namespace and waits for its end.
func (n *Namespace) Run(cmd *exec.Cmd) error {
	if err := n.Start(cmd); err != nil {
		return err
	}
	return cmd.Wait()
}

// Output runs a program inside the namespace and returns what it wrote to
// both standard output and standard error.
func (n *Namespace) Output(name string, args ...string) (string, error) {
	var out strings.Builder
	cmd := n.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := n.Run(cmd)
	return out.String(), err
}

// Listen opens a listener inside the namespace. The address must be numeric.
func (n *Namespace) Listen(network, address string) (net.Listener, error) {
	var l net.Listener
	err := n.Do(func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(n.tb.Context(), network, address)
		return err
	})
	return l, err
}

// DialContext connects from inside the namespace; it fits
// http.Transport.DialContext. The address must be numeric.
func (n *Namespace) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var c net.Conn
	err := n.Do(func() (err error) {
		c, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// Sysctl writes a value below /proc/sys/net of the namespace, for example
// Sysctl("ipv4/ip_forward", "1").
func (n *Namespace) Sysctl(key, value string) {
	n.tb.Helper()
	// The kernel picks the namespace of the thread that opens the file.
	err := n.Do(func() error {
		return os.WriteFile(filepath.Join("/proc/sys/net", key), []byte(value), 0o644)
	})
	if err != nil {
		n.tb.Fatalf("set sysctl %s in %s: %v", key, n.name, err)
	}
}

func (n *Namespace) destroy() {
	if n.handle != nil {
		n.handle.Close()
	}
	if n.fd >= 0 {
		_ = unix.Close(n.fd)
	}
	if err := removeNamespace(n.Path()); err != nil {
		n.tb.Errorf("remove namespace %s: %v", n.name, err)
	}
}

// removeNamespace takes the name away. The namespace itself goes with the
// last process and socket in it.
func removeNamespace(path string) error {
	// EINVAL: nothing is mounted there, for creating it failed half-way.
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		return err
	}
	return os.Remove(path)
}

// sweepNamespaces removes the namespaces of test processes that were killed
// before they could clean up. Errors are left to whoever trips over them:
// another test process may be sweeping at the same moment.
func sweepNamespaces() {
	entries, err := os.ReadDir(namespaceDir)
	if err != nil {
		return
	}
	for _, e := range entries {
		pid, ok := namespaceOwner(e.Name())
		if ok && errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			_ = removeNamespace(filepath.Join(namespaceDir, e.Name()))
		}
	}
}

// namespaceOwner reads the process id out of a name that NewNamespace made.
func namespaceOwner(name string) (int, bool) {
	rest, ok := strings.CutPrefix(name, "halo-")
	if !ok {
		return 0, false
	}
	digits, _, ok := strings.Cut(rest, "-")
	if !ok {
		return 0, false
	}
	pid, err := strconv.Atoi(digits)
	return pid, err == nil && pid > 0
}

// onThrowawayThread runs f on a thread that is destroyed afterwards, whatever
// f did to it.
func onThrowawayThread(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		result <- f()
	}()
	return <-result
}
