package tenant_test

import (
	"errors"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/tenant"
)

// enter enters in a namespace, and leaves with the test.
func enter(t *testing.T, ns *kerneltest.Namespace) *tenant.Tenant {
	t.Helper()
	var who *tenant.Tenant
	if err := ns.Do(func() (err error) { who, err = tenant.Enter(); return err }); err != nil {
		t.Fatal(err)
	}
	return who
}

func alone(t *testing.T, ns *kerneltest.Namespace, who *tenant.Tenant) (is bool) {
	t.Helper()
	if err := ns.Do(func() (err error) { is, err = who.Alone(); return err }); err != nil {
		t.Fatal(err)
	}
	return is
}

// TestTenants proves that those of one namespace know of each other, those of
// others do not, and that whoever leaves is forgotten.
func TestTenants(t *testing.T) {
	t.Parallel()
	kerneltest.RequireRoot(t)
	here, there := kerneltest.NewNamespace(t, "here"), kerneltest.NewNamespace(t, "there")
	first, elsewhere := enter(t, here), enter(t, there)
	defer func() { _, _ = first.Close(), elsewhere.Close() }()
	if !alone(t, here, first) || !alone(t, there, elsewhere) {
		t.Error("who is alone in a namespace is told of another")
	}
	second := enter(t, here)
	if alone(t, here, first) || alone(t, here, second) {
		t.Error("two in one namespace do not know of each other")
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if !alone(t, here, first) {
		t.Error("who has left is still there")
	}
}

// TestStrangersAreNoTenants proves that nobody but root and the own user can pass
// for a halo.
func TestStrangersAreNoTenants(t *testing.T) {
	t.Parallel()
	kerneltest.RequireRoot(t)
	here := kerneltest.NewNamespace(t, "here")
	who := enter(t, here)
	defer func() { _ = who.Close() }()
	stranger := pretend(t, here, 65534)
	if !alone(t, here, who) {
		t.Error("a stranger passes for a halo")
	}
	root := pretend(t, here, 0)
	if alone(t, here, who) {
		t.Error("root's is not believed")
	}
	for _, fd := range []int{stranger, root} {
		if err := unix.Close(fd); err != nil {
			t.Fatal(err)
		}
	}
	if !alone(t, here, who) {
		t.Error("who has ended is still there")
	}
}

// pretend holds a name as a user does.
func pretend(t *testing.T, ns *kerneltest.Namespace, uid uintptr) (fd int) {
	t.Helper()
	const stays = ^uintptr(0)
	become := func(uid uintptr) error {
		// Of this thread alone; Setresuid of package syscall changes all.
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, stays, uid, stays); errno != 0 {
			return errno
		}
		return nil
	}
	err := ns.Do(func() (err error) {
		if err := become(uid); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, become(0)) }()
		if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		name := "@halo-tenant-of-" + strconv.Itoa(int(uid))
		return errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: name}), unix.Listen(fd, 1))
	})
	if err != nil {
		t.Fatal(err)
	}
	return fd
}
